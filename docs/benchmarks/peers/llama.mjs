// Native llama.cpp, by node-llama-cpp: prefill of some prompt lengths, and decode after a prompt of another, greedy.
//
//     npm install --prefix FOLDER node-llama-cpp@3.22.1
//     cp docs/benchmarks/peers/llama.mjs FOLDER
//     node FOLDER/llama.mjs MODEL.gguf GOLDEN.json [--gpu false|vulkan|cuda] [--threads 2] [--rounds 5] [--prefill 32,128]
//         [--decode 32] [--after 128]
//
// GOLDEN.json is tests/golden/gemma3-270m.json: its text's token ids are the prompt, as in cpu_native.py. On a GPU all
// layers are there. Vulkan takes real GPUs only, unless GGML_VK_VISIBLE_DEVICES names another one by its number.
// One line of JSON: tokens per second, medians of the rounds, after one that does not count.
import fs from "node:fs";
import { parseArgs } from "node:util";
import { getLlama } from "node-llama-cpp";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    gpu: { type: "string", default: "false" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    prefill: { type: "string", default: "128" },
    decode: { type: "string", default: "32" },
    after: { type: "string", default: "128" },
  },
});
const [modelPath, golden] = positionals;
const lengths = values.prefill.split(",").map(Number);
const [threads, rounds, wanted, after] = [values.threads, values.rounds, values.decode, values.after].map(Number);
const { ids } = JSON.parse(fs.readFileSync(golden, "utf8")).perplexity;
const llama = await getLlama({ gpu: values.gpu === "false" ? false : values.gpu, build: "never", logLevel: "error" });
const model = await llama.loadModel({ modelPath, gpuLayers: llama.gpu ? "max" : 0 });
const context = await model.createContext({ contextSize: 2048, threads, batchSize: 512 });
const sequence = context.getSequence();

/** Tokens per second of one prompt and of the tokens after it. */
async function run(length, count) {
  const prompt = ids.slice(0, length);
  await sequence.clearHistory();
  const began = performance.now();
  if (length > 1) await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
  const tokens = sequence.evaluate(prompt.slice(-1), { temperature: 0, yieldEogToken: true });
  await tokens.next();
  const prefilled = performance.now();
  for (let done = 0; done < count; done += 1) await tokens.next();
  const ended = performance.now();
  return { prefill: (1e3 * length) / (prefilled - began), decode: (1e3 * count) / (ended - prefilled) };
}

const middle = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
const runs = { prefill: Object.fromEntries(lengths.map((length) => [length, []])), decode: [] };
for (let round = 0; round <= rounds; round += 1) {
  for (const length of lengths) {
    const { prefill } = await run(length, 0);
    if (round > 0) runs.prefill[length].push(prefill);
  }
  const { decode } = await run(after, wanted);
  if (round > 0) runs.decode.push(decode);
}
const prefill = Object.fromEntries(lengths.map((length) => [length, middle(runs.prefill[length])]));
const decode = middle(runs.decode);
const device = llama.gpu ? (await llama.getGpuDeviceNames()).join(", ") : "CPU";
console.log(JSON.stringify({ gpu: llama.gpu, device, threads, prefill, decode, after, runs }));
process.exit(0);
