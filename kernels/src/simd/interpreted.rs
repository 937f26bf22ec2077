//! Instructions of AVX-512 that the interpreter does not know, by those of AVX2 that it does: so
//! tests run where the processor has none of them.
//!
//! All need AVX-512 F.

use std::arch::x86_64::*;
use std::mem::transmute;

macro_rules! by_halves {
    ($name:ident($($x:ident),+) -> $out:ty, $half:ident) => {
        pub(super) unsafe fn $name($($x: __m512),+) -> $out {
            // SAFETY: halves of a register are where its first and last lanes are.
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
    // SAFETY: as above.
    unsafe {
        let a: [__m256; 2] = transmute(a);
        transmute(a.map(|a| _mm256_round_ps::<NEAREST>(a)))
    }
}

/// The nearest number that fewer bits hold.
pub(super) unsafe fn _mm512_cvtsepi32_epi16(a: __m512i) -> __m256i {
    // SAFETY: lanes of a register lie one after the other.
    unsafe {
        let a: [i32; 16] = transmute(a);
        transmute(a.map(|x| x.clamp(i16::MIN.into(), i16::MAX.into()) as i16))
    }
}

/// Likewise.
pub(super) unsafe fn _mm512_cvtsepi32_epi8(a: __m512i) -> __m128i {
    // SAFETY: lanes of a register lie one after the other.
    unsafe {
        let a: [i32; 16] = transmute(a);
        transmute(a.map(|x| x.clamp(i8::MIN.into(), i8::MAX.into()) as i8))
    }
}
