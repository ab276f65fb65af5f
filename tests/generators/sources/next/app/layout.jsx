import localFont from "next/font/local";
import Link from "next/link";
import "./globals.css";

const font = localFont({ src: "./font.woff2" });

export const metadata = { title: "Next site" };

export default function Layout({ children }) {
  return (
    <html lang="en" className={font.className}>
      <body>
        <nav>
          <Link href="/">Home</Link> <Link href="/about">About</Link> <Link href="/docs/intro">Intro</Link>
        </nav>
        {children}
      </body>
    </html>
  );
}
