"use client";
import { useState } from "react";

export default function More() {
  const [text, setText] = useState("");
  const more = async () => setText((await import("./later")).greeting);
  return <button onClick={more}>more {text}</button>;
}
