/** Lets Node read the page's scripts as what browsers take them for, whatever a package.json above says. */
import { register } from "node:module";

register(`data:text/javascript,${encodeURIComponent(`
  export const load = (url, context, next) =>
    next(url, url.includes("/http/dashboard/") ? { ...context, format: "module" } : context);
`)}`);
