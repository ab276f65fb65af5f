// The smallest classic site: docs, a blog, one page of its own.
module.exports = {
  title: "Docusaurus site",
  url: "https://example.com",
  baseUrl: "/",
  onBrokenLinks: "throw",
  presets: [["classic", { docs: { sidebarPath: undefined }, blog: { showReadingTime: false } }]],
  themeConfig: {
    navbar: {
      title: "Site",
      logo: { src: "img/logo.svg", alt: "" },
      items: [
        { to: "/docs/intro", label: "Docs" },
        { to: "/blog", label: "Blog" },
        { to: "/about", label: "About" },
      ],
    },
  },
};
