// Large enough that it stays a file of its own.
export const greeting = "loaded later: EDITED";
