export const greeting = "loaded later: EDITED";
