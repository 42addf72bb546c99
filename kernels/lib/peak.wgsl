// The largest magnitude among f32 values, from their bits: those of magnitudes are in the values' order, and above all
// numbers come infinity and what is no number. A maximum of floats may leave these out, and int8 codes have none.
const MAGNITUDE: u32 = 0x7fffffffu;

// Of four magnitudes; at least 1e-30.
fn peak_of(magnitudes: vec4<u32>) -> f32 {
    let highest = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
    return bitcast<f32>(max(highest, bitcast<u32>(1e-30f)));
}
