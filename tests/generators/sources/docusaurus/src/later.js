export const greet = () => document.body.append("loaded later: EDITED");
