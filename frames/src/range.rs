//! Range of grey values that is shown from black to white where a file does not state it.

/// Said of files whose grey values are shown by [`robust_range`].
pub(crate) const RANGE_WARNING: &str = "the grey values from the 0.5 to the 99.5 percentile are \
                                        shown from black to white";

/// Range from the 0.5 to the 99.5 percentile, so that a few outliers do not darken the image; the
/// whole range if that is a single value.
pub(crate) fn robust_range(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return [0.0, 1.0] };
    let outliers = values.len() / 200;
    match [values[outliers], values[last - outliers]] {
        [low, high] if low < high => [low, high],
        _ => [values[0], values[last]],
    }
}

/// Position of a value in a range, from 0 to 1.
pub(crate) fn between([low, high]: [f64; 2], value: f64) -> f64 {
    if low == high { 0.0 } else { ((value - low) / (high - low)).clamp(0.0, 1.0) }
}
