// A static export: out/about.html for /about.
export default { output: "export", images: { unoptimized: true } };
