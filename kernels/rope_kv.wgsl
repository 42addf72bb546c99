// QK-norm, RoPE and the KV cache write, for one head of one token.
//   qkv (T, H+2G, E) f32: query, key and value heads side by side; q_norm, k_norm (E) f32;
//   angles (S, E/2) vec2 (cos, sin) of position * frequency; q (T, H, E) f32, normed, rotated and scaled;
//   keys, values (SLOTS, G, E) f16, two to a word, written in place at slot = position mod SLOTS.
// RoPE (Su et al. 2021, arXiv:2104.09864) in the split-half form: dimension i turns with i + E/2.
// Grid: x over tokens, y over the H + 2G heads.
// #include "step.wgsl"
// #include "reduce.wgsl"
@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> q_norm: array<f32>;
@group(0) @binding(2) var<storage, read> k_norm: array<f32>;
@group(0) @binding(3) var<storage, read> angles: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> values: array<u32>;
override H: u32;
override G: u32;
override E: u32;  // a multiple of 4, at most 256
override SLOTS: u32;
override EPS: f32;
override SCALE: f32;

var<workgroup> head: array<f32, 256>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    let h = group.y;
    if (t >= step.count) {
        return;
    }
    let position = step.position + t;
    let from_here = (t * (H + 2u * G) + h) * E;
    if (h >= H + G) {
        let to = ((position % SLOTS) * G + (h - H - G)) * (E / 2u);
        for (var i = thread; i < E / 2u; i += WORKGROUP) {
            values[to + i] = pack2x16float(vec2<f32>(qkv[from_here + 2u * i], qkv[from_here + 2u * i + 1u]));
        }
        return;
    }
    var squares = 0.0;
    for (var e = thread; e < E; e += WORKGROUP) {
        squares += qkv[from_here + e] * qkv[from_here + e];
    }
    let factor = inverseSqrt(workgroup_sum(squares, thread) / f32(E) + EPS);
    let half_size = E / 2u;
    for (var i = thread; i < half_size; i += WORKGROUP) {
        let j = i + half_size;
        var first = qkv[from_here + i] * factor;
        var second = qkv[from_here + j] * factor;
        if (h < H) {
            first *= q_norm[i];
            second *= q_norm[j];
        } else {
            first *= k_norm[i];
            second *= k_norm[j];
        }
        let turn = angles[position * half_size + i];
        head[i] = first * turn.x - second * turn.y;
        head[j] = second * turn.x + first * turn.y;
    }
    workgroupBarrier();
    if (h < H) {
        for (var e = thread; e < E; e += WORKGROUP) {
            q[(t * H + h) * E + e] = head[e] * SCALE;
        }
    } else {
        let to = ((position % SLOTS) * G + (h - H)) * half_size;
        for (var i = thread; i < half_size; i += WORKGROUP) {
            keys[to + i] = pack2x16float(vec2<f32>(head[2u * i], head[2u * i + 1u]));
        }
    }
}
