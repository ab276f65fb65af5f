import React from "react";
import Link from "@docusaurus/Link";
import Layout from "@theme/Layout";

export default function Home() {
  const more = () => import("../later").then((later) => later.greet());
  return (
    <Layout>
      <Link to="/docs/intro">Docs</Link> <button onClick={more}>more</button>
    </Layout>
  );
}
