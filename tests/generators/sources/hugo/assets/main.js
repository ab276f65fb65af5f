document.documentElement.dataset.script = "EDITED";
