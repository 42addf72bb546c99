// Intel's, of Xe2: tokens x rows x columns of a product. 16 threads hold 32 sums each.
const MATRIX_M: u32 = 8;
const MATRIX_N: u32 = 16;
const MATRIX_K: u32 = 16;
const BLOCK_TOKENS: u32 = 16;
const BLOCK_ROWS: u32 = 32;
