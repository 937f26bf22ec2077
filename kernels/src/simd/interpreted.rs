//! AVX-512 instructions that the interpreter (Miri) does not support, made of AVX2 instructions
//! that it does. With them the tests cover AVX-512 on processors without it.
//!
//! All functions need AVX-512 F and AVX2.

use std::arch::x86_64::*;
use std::mem::transmute;

macro_rules! by_halves {
    ($name:ident($($x:ident),+) -> $out:ty, $half:ident) => {
        pub(super) unsafe fn $name($($x: __m512),+) -> $out {
            // SAFETY: a register of 512 bits has the size of two of 256 bits, and every bit
            // pattern is valid for both.
            unsafe {
                $(let $x: [__m256; 2] = transmute($x);)+
                transmute([$half($($x[0]),+), $half($($x[1]),+)])
            }
        }
    };
}

by_halves!(_mm512_max_ps(a, b) -> __m512, _mm256_max_ps);
by_halves!(_mm512_min_ps(a, b) -> __m512, _mm256_min_ps);
by_halves!(_mm512_cvtps_epi32(a) -> __m512i, _mm256_cvtps_epi32);

pub(super) unsafe fn _mm512_roundscale_ps<const NEAREST: i32>(a: __m512) -> __m512 {
    // SAFETY: a register of 512 bits has the size of two of 256 bits, and every bit pattern is
    // valid for both.
    unsafe {
        let a: [__m256; 2] = transmute(a);
        transmute(a.map(|a| _mm256_round_ps::<NEAREST>(a)))
    }
}

/// Saturates to 16 bits.
pub(super) unsafe fn _mm512_cvtsepi32_epi16(a: __m512i) -> __m256i {
    // SAFETY: a register has the size of an array of its lanes, and every bit pattern is valid
    // for both.
    unsafe {
        let a: [i32; 16] = transmute(a);
        transmute(a.map(|x| x.clamp(i16::MIN.into(), i16::MAX.into()) as i16))
    }
}

/// Saturates to 8 bits.
pub(super) unsafe fn _mm512_cvtsepi32_epi8(a: __m512i) -> __m128i {
    // SAFETY: a register has the size of an array of its lanes, and every bit pattern is valid
    // for both.
    unsafe {
        let a: [i32; 16] = transmute(a);
        transmute(a.map(|x| x.clamp(i8::MIN.into(), i8::MAX.into()) as i8))
    }
}
