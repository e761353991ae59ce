//! Products on the matrix tiles of Intel's processors (AMX-BF16): 16 rows of 16 sums, over 32 steps, in one instruction.
//!
//! Two by two tiles of sums share two tiles of each factor, so that every tile that is loaded is used twice. The language has no
//! stable names for these instructions: they are written in the assembler's.

use std::arch::{asm, x86_64::__cpuid_count};

use super::{BLOCK, COLS, Product, ROWS, STEPS};

/// Rows of a tile.
const TILE_ROWS: usize = 16;

/// Whether the processor has the tiles and the system lets this process use them.
pub(super) fn available() -> bool {
    /// Bits of `cpuid` leaf 7: the tiles and their product of bfloat16.
    const TILES: u32 = 1 << 24 | 1 << 22;
    // Leaf 7 exists where AVX-512, asked first, does.
    is_x86_feature_detected!("avx512f") && __cpuid_count(7, 0).edx & TILES == TILES && permitted()
}

/// Asks the system to keep the tiles of this process's threads, as it must be asked once (since Linux 5.16).
fn permitted() -> bool {
    const REQUEST_PERMISSION: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: the call reads its arguments alone, and changes nothing but which registers the system saves.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 }
}

/// How the eight tile registers are cut: 16 rows of 64 bytes each.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Where a group of tiles begins.
#[derive(Clone, Copy)]
struct Group {
    a: *const u16,
    b: *const u16,
    bias: *const f32,
    out: *mut f32,
    blocks: usize,
    /// Bytes between rows of `out`.
    out_stride: usize,
}

/// Computes `product` into `out`.
///
/// # Panics
/// If a slice is not of its shape.
pub(super) fn run(product: Product<'_>, out: &mut [f32]) {
    let Product { a, b, bias, rows, blocks, tiles } = product;
    let width = tiles * COLS;
    assert!(rows.is_multiple_of(ROWS) && blocks > 0, "{rows} rows of {blocks} blocks");
    assert!(a.len() >= rows * blocks * STEPS && b.len() >= tiles * blocks * BLOCK, "factors of a product of tiles");
    assert!(bias.len() >= width && out.len() >= rows * width, "bias and destination of a product of tiles");
    // SAFETY: the instructions are there and permitted, or this unit would not have been chosen; the configuration is a constant of 64 bytes.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &raw const CONFIGURATION, options(nostack, readonly, preserves_flags),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
    }
    for row in (0..rows).step_by(ROWS) {
        let mut tile = 0;
        while tile < tiles {
            let group = Group {
                a: a[row * blocks * STEPS..].as_ptr(),
                b: b[tile * blocks * BLOCK..].as_ptr(),
                bias: bias[tile * COLS..].as_ptr(),
                out: out[row * width + tile * COLS..].as_mut_ptr(),
                blocks,
                out_stride: width * size_of::<f32>(),
            };
            // SAFETY: two tiles of rows and one or two of columns from here on are inside the slices, by the assertions above.
            unsafe {
                if tiles - tile >= 2 {
                    two_by_two(group);
                    tile += 2;
                } else {
                    two_by_one(group);
                    tile += 1;
                }
            }
        }
    }
    // SAFETY: no tile is in use any more; released, the system need not save them.
    unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
}

/// # Safety
/// Two tiles of rows and of columns from `group` on must be in bounds, and the tiles configured.
unsafe fn two_by_two(group: Group) {
    let a_stride = group.blocks * STEPS * size_of::<u16>();
    // SAFETY: promised by the caller. A row stride of 0 reads the bias 16 times.
    unsafe {
        asm!(
            "tileloadd tmm0, [{bias} + {none}*1]",
            "tileloadd tmm1, [{bias} + {none}*1 + 64]",
            "tileloadd tmm2, [{bias} + {none}*1]",
            "tileloadd tmm3, [{bias} + {none}*1 + 64]",
            "2:",
            "tileloadd tmm4, [{a0} + {a_stride}*1]",
            "tileloadd tmm6, [{b0} + {b_stride}*1]",
            "tileloadd tmm7, [{b1} + {b_stride}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a1} + {a_stride}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a0}, 64",
            "add {a1}, 64",
            "add {b0}, 1024",
            "add {b1}, 1024",
            "dec {blocks}",
            "jnz 2b",
            "tilestored [{out0} + {out_stride}*1], tmm0",
            "tilestored [{out0} + {out_stride}*1 + 64], tmm1",
            "tilestored [{out1} + {out_stride}*1], tmm2",
            "tilestored [{out1} + {out_stride}*1 + 64], tmm3",
            bias = in(reg) group.bias,
            none = in(reg) 0_usize,
            a0 = inout(reg) group.a => _,
            a1 = inout(reg) group.a.add(TILE_ROWS * group.blocks * STEPS) => _,
            a_stride = in(reg) a_stride,
            b0 = inout(reg) group.b => _,
            b1 = inout(reg) group.b.add(group.blocks * BLOCK) => _,
            b_stride = in(reg) 64_usize,
            blocks = inout(reg) group.blocks => _,
            out0 = in(reg) group.out,
            out1 = in(reg) group.out.byte_add(TILE_ROWS * group.out_stride),
            out_stride = in(reg) group.out_stride,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// # Safety
/// Two tiles of rows and one of columns from `group` on must be in bounds, and the tiles configured.
unsafe fn two_by_one(group: Group) {
    let a_stride = group.blocks * STEPS * size_of::<u16>();
    // SAFETY: promised by the caller.
    unsafe {
        asm!(
            "tileloadd tmm0, [{bias} + {none}*1]",
            "tileloadd tmm2, [{bias} + {none}*1]",
            "2:",
            "tileloadd tmm4, [{a0} + {a_stride}*1]",
            "tileloadd tmm6, [{b0} + {b_stride}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a1} + {a_stride}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "add {a0}, 64",
            "add {a1}, 64",
            "add {b0}, 1024",
            "dec {blocks}",
            "jnz 2b",
            "tilestored [{out0} + {out_stride}*1], tmm0",
            "tilestored [{out1} + {out_stride}*1], tmm2",
            bias = in(reg) group.bias,
            none = in(reg) 0_usize,
            a0 = inout(reg) group.a => _,
            a1 = inout(reg) group.a.add(TILE_ROWS * group.blocks * STEPS) => _,
            a_stride = in(reg) a_stride,
            b0 = inout(reg) group.b => _,
            b_stride = in(reg) 64_usize,
            blocks = inout(reg) group.blocks => _,
            out0 = in(reg) group.out,
            out1 = in(reg) group.out.byte_add(TILE_ROWS * group.out_stride),
            out_stride = in(reg) group.out_stride,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
