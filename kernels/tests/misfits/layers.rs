//! Linear layers, convolutions and norms.

use medsa_kernels::{Depthwise, InputScales, Isa, LinearS8, Norm, Packed, limits};

use super::{ISA, assert_misfit};

#[test]
fn int8_layer_names_the_field_that_does_not_fit() {
    let fields = LinearS8 {
        weight: &[0; 8],
        scale: &[1.0; 2],
        bias: &[0.0; 2],
        inverse_scale: &[1.0; 4],
        zero_point: &[0.0; 4],
    };
    assert!(Packed::int8(ISA, &fields).is_ok());
    for (fields, message) in [
        (LinearS8 { weight: &[0; 7], ..fields }, "weight: found 7 values, expected 8"),
        (LinearS8 { scale: &[], ..fields }, "scale: found 0 values, expected 1 to 65536"),
        (LinearS8 { bias: &[0.0; 3], ..fields }, "bias: found 3 values, expected 2"),
        (
            LinearS8 { inverse_scale: &[], ..fields },
            "inverse_scale: found 0 values, expected 1 to 65536",
        ),
        (LinearS8 { zero_point: &[0.0; 5], ..fields }, "zero_point: found 5 values, expected 4"),
        (
            LinearS8 { scale: &[1.0; limits::CHANNELS + 1], ..fields },
            "scale: found 65537 values, expected 1 to 65536",
        ),
    ] {
        assert_misfit(Packed::int8(ISA, &fields), message);
    }
}

#[test]
fn float_layer_names_the_field_that_does_not_fit() {
    assert!(Packed::float(&[0.0; 8], &[0.0; 2]).is_ok());
    assert_misfit(
        Packed::float(&[0.0; 7], &[0.0; 2]),
        "weight: found 7 values, expected 1 to 65536 for each of 2 outputs",
    );
    assert_misfit(
        Packed::float(&[], &[0.0; 2]),
        "weight: found 0 values, expected 1 to 65536 for each of 2 outputs",
    );
    assert_misfit(Packed::float(&[0.0; 8], &[]), "bias: found 0 values, expected 1 to 65536");
    assert_misfit(
        Packed::float(&[0.0; limits::CHANNELS + 1], &[0.0]),
        "weight: found 65537 values, expected 1 to 65536 for each of 1 outputs",
    );
}

#[test]
fn depthwise_convolution_names_the_field_that_does_not_fit() {
    let make =
        |weight: usize, scale: usize, bias: usize, inverse_scale: usize, zero_point: usize| {
            let input = InputScales {
                inverse_scale: &vec![1.0; inverse_scale],
                zero_point: &vec![0.0; zero_point],
            };
            Depthwise::int8(&vec![0; weight], &vec![1.0; scale], &vec![0.0; bias], input)
        };
    assert!(make(144, 16, 16, 16, 16).is_ok());
    let weights = "9 for each channel, 1 to 65536 in multiples of 16";
    for (made, message) in [
        (make(0, 0, 0, 0, 0), format!("weight: found 0 values, expected {weights}")),
        (make(143, 16, 16, 16, 16), format!("weight: found 143 values, expected {weights}")),
        (make(9 * 20, 20, 20, 20, 20), format!("weight: found 180 values, expected {weights}")),
        (make(144, 17, 16, 16, 16), "scale: found 17 values, expected 16".into()),
        (make(144, 16, 15, 16, 16), "bias: found 15 values, expected 16".into()),
        (make(144, 16, 16, 0, 16), "inverse_scale: found 0 values, expected 16".into()),
        (make(144, 16, 16, 16, 32), "zero_point: found 32 values, expected 16".into()),
    ] {
        assert_misfit(made, &message);
    }
    assert_misfit(
        Depthwise::float(&[0.0; 9], &[0.0]),
        &format!("weight: found 9 values, expected {weights}"),
    );
    assert_misfit(Depthwise::float(&[0.0; 144], &[0.0; 32]), "bias: found 32 values, expected 16");
}

#[test]
fn norm_names_the_field_that_does_not_fit() {
    assert!(Norm::new(&[1.0; 16], &[0.0; 16], 0.0).is_ok());
    for (gamma, beta, epsilon, message) in [
        (0, 0, 1e-5, "gamma: found 0 values, expected 1 to 65536"),
        (20, 20, 1e-5, "gamma: found 20 values, expected a multiple of 16"),
        (65_552, 0, 1e-5, "gamma: found 65552 values, expected 1 to 65536"),
        (16, 32, 1e-5, "beta: found 32 values, expected 16"),
        (16, 16, -1.0, "epsilon: found -1, expected a finite number of at least 0"),
        (16, 16, f32::NAN, "epsilon: found NaN, expected a finite number of at least 0"),
        (16, 16, f32::INFINITY, "epsilon: found inf, expected a finite number of at least 0"),
    ] {
        assert_misfit(Norm::new(&vec![1.0; gamma], &vec![0.0; beta], epsilon), message);
    }
}

#[test]
fn extreme_numbers_in_weights_and_scales_are_computed_without_a_panic() {
    let extremes = [f32::NAN, f32::INFINITY, -f32::INFINITY, 0.0, -1.0, f32::MAX];
    for isa in Isa::available() {
        for x in extremes {
            let fields = LinearS8 {
                weight: &[-128; 8],
                scale: &[x; 2],
                bias: &[x; 2],
                inverse_scale: &[x; 4],
                zero_point: &[x; 4],
            };
            let layer = Packed::int8(isa, &fields).unwrap();
            assert_eq!(layer.row(isa, &[x; 4]).len(), 2);
            let input = InputScales { inverse_scale: &[x; 16], zero_point: &[x; 16] };
            assert!(Depthwise::int8(&[-128; 144], &[x; 16], &[x; 16], input).is_ok());
            assert!(Packed::float(&[x; 8], &[x; 2]).is_ok());
            assert!(Norm::new(&[x; 16], &[x; 16], 1e-5).is_ok());
        }
    }
}
