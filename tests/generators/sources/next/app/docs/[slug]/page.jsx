export const dynamicParams = false;

export const generateStaticParams = () => [{ slug: "intro" }, { slug: "开始" }];

export default async function Doc({ params }) {
  return <h1>{decodeURIComponent((await params).slug)}</h1>;
}
