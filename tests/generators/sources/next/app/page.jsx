import Image from "next/image";
import picture from "./picture.png";
import More from "./more";

export default function Home() {
  return (
    <main>
      <h1>Home</h1>
      <Image src={picture} alt="" />
      <More />
    </main>
  );
}
