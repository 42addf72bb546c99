/**
 * Files that a person gives to the page, as Python's worker gets and reads them: drop.js in the page sends them by the
 * channel whose name Python leaves in the document. They stay where they are on the disk; what is read comes from there.
 * A file that cannot be read (any more) is a BridgeError Unreadable.
 */

import { BridgeError } from "./bridge.js";

/** The name of the channel. */
export const channel = `files ${Array.from(crypto.getRandomValues(new Uint32Array(4))).join(" ")}`;

/** Call a handler each time with the files that are given, and the name of their folder if they were in one.
 * @param {(files: File[], folder: string) => void} handler */
export function onGiven(handler) {
  new BroadcastChannel(channel).onmessage = ({ data }) => handler(data.files, data.folder);
}

/** Bytes of a file. @param {File} file  @param {number} offset  @param {number} nbytes  @returns {Promise<Uint8Array>} */
export function read(file, offset, nbytes) {
  const reading = file.slice(offset, offset + nbytes).arrayBuffer().then(
    (buffer) => new Uint8Array(buffer),
    (error) => { throw new BridgeError("Unreadable", error.message); }, // it was moved or changed, or its disk is gone
  );
  reading.catch(() => {}); // what was read ahead may not be asked for any more
  return reading;
}
