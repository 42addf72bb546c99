/**
 * PyScript makes two functions from texts, always the same. It is given them ready made, so that the page's policy can
 * refuse all that is made from texts (no "unsafe-eval").
 */

const load = (/** @type {string[]} */ ...urls) => Promise.all(urls.map((url) => import(url)));

// Runs in the worker, which gets it as a text, of one line: it may use nothing but its arguments. No files are used here.
const register = (/** @type {any} */ { interpreter }) => interpreter.registerJsModule("_pyscript", { fs: {}, interpreter });

const MADE = new Map([
  ["return (...urls) => Promise.all(urls.map((url) => import(url)))", load],
  [
    "return(w,x)=>(async(e,t,...n)=>{for(const r of n)await r(e,t)})"
      + '(w,x,...[({interpreter:e})=>{e.registerJsModule("_pyscript",{fs:'
      + '{ERROR:"storage permissions not granted",NAMESPACE:"@pyscript.fs"},interpreter:e})}])',
    register,
  ],
  [`'use strict';return (${register})`, register], // the same in the worker
]);

globalThis.Function = new Proxy(Function, {
  apply(target, self, texts) {
    const made = MADE.get(texts.at(-1));
    return made ? () => made : Reflect.apply(target, self, texts);
  },
});
