// As it comes: a folder with an index.html for each page; styles and images kept as files.
export default { build: { inlineStylesheets: "never" }, image: { service: { entrypoint: "astro/assets/services/noop" } } };
