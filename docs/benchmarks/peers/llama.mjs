// Native llama.cpp on the CPU, by node-llama-cpp: prefill of 128 tokens and decode of 32 after them, greedy.
//
//     npm install --prefix FOLDER node-llama-cpp@3.22.1
//     cp docs/benchmarks/peers/llama.mjs FOLDER && node FOLDER/llama.mjs MODEL.gguf GOLDEN.json [threads] [rounds]
//
// GOLDEN.json is tests/golden/gemma3-270m.json: its text's token ids are the prompt, as in cpu_native.py.
import fs from "node:fs";
import { getLlama } from "node-llama-cpp";

const [modelPath, golden, threads = "2", rounds = "5"] = process.argv.slice(2);
const prompt = JSON.parse(fs.readFileSync(golden, "utf8")).perplexity.ids.slice(0, 128);
const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 2048, threads: Number(threads), batchSize: 512 });
const sequence = context.getSequence();
const runs = [];
for (let round = 0; round < Number(rounds); round += 1) {
  await sequence.clearHistory();
  const began = performance.now();
  await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
  const tokens = sequence.evaluate(prompt.slice(-1), { temperature: 0 });
  await tokens.next();
  const prefilled = performance.now();
  let count = 0;
  while (count < 32) {
    await tokens.next();
    count += 1;
  }
  runs.push({ prefill: (1e3 * prompt.length) / (prefilled - began), decode: (1e3 * count) / (performance.now() - prefilled) });
}
const median = (kind) => runs.map((run) => run[kind]).sort((a, b) => a - b)[runs.length >> 1];
console.log(JSON.stringify({ threads: Number(threads), prefill: median("prefill"), decode: median("decode"), runs }));
process.exit(0);
