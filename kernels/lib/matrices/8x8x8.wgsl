// Apple's (f32) and lavapipe's (f16): tokens x rows x columns of a product. 32 threads hold 32 sums each.
const MATRIX_M: u32 = 8;
const MATRIX_N: u32 = 8;
const MATRIX_K: u32 = 8;
const BLOCK_TOKENS: u32 = 32;
const BLOCK_ROWS: u32 = 32;
