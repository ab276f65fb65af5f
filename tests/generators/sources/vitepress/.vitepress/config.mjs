// Clean URLs: links say /guide/start, and the file is guide/start.html.
export default {
  title: "VitePress site",
  cleanUrls: true,
  themeConfig: {
    search: { provider: "local" },
    nav: [
      { text: "Home", link: "/" },
      { text: "Guide", link: "/guide/start" },
      { text: "About", link: "/about" },
    ],
  },
};
