/**
 * What the page's policy asks for where a browser makes markup, or a script's address, of a text ("trusted types"): the
 * libraries and Python hand over plain texts, so all of them pass here. Addresses are this page's own; markup has
 * the elements and attributes that Python writes, and nothing that runs or fetches.
 *
 * A classic script in the page, so that it comes before all others, and a part of python.js in Python's worker. Browsers
 * without trusted types do not ask.
 */

(() => {
  const { trustedTypes } = globalThis;
  if (!trustedTypes || trustedTypes.defaultPolicy) return;
  const ELEMENTS = "a|b|br|button|canvas|caption|code|dd|details|div|dl|dt|em|figcaption|figure|form|h[2-6]|input|label|li|ol|option|"
    + "p|pre|section|select|small|span|strong|summary|table|tbody|td|textarea|tfoot|th|thead|time|tr|ul";
  const TAG = new RegExp(`</?(?:${ELEMENTS})(?:\\s+(?!on|src|style|formaction)[a-z][a-z-]*(?:="[^"]*")?)*\\s*/?>`, "gi");
  /** @param {string} url */
  const own = (url) => new URL(url, location.href).origin === location.origin; // a blob's is that of who made it
  trustedTypes.createPolicy("default", { // what gets null is refused
    createHTML: (html) => (html.replace(TAG, "").includes("<") ? null : html),
    createScriptURL: (url) => (own(url) ? url : null),
  });
})();
