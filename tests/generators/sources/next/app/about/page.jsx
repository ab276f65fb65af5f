export default function About() {
  return <h1>About EDITED</h1>;
}
