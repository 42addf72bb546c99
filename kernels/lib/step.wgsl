// What changes from run to run: where the chunk begins and how many of its tokens are real.
// Everything else in a plan is fixed when it is recorded.
struct Step {
    position: u32,  // position in the text of the chunk's first token
    count: u32,     // tokens in this run, 1..T
}
@group(0) @binding(8) var<uniform> step: Step;
