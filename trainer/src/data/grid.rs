//! Position of a NIfTI volume's voxels in the patient, and voxels of one volume at those of another.

use std::fmt;

use nifti::NiftiHeader;

/// Width, height and number of slices of a volume: the three axes of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) [usize; 3]);

/// Largest difference of two voxel sizes that counts as rounding, relative.
const SAME_SIZE: f64 = 0.01;

/// Affine map from voxel indices to positions in mm; three rows of `[x, y, z, offset]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine([[f64; 4]; 3]);

/// Place of the voxels of a mask's volume among those of its image's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Placement {
    /// The same grid.
    Same,
    /// Another grid: map from voxels of the image to voxels of the mask.
    Mapped(Affine),
}

impl Affine {
    /// The map of a header: that of the sform, else that of the qform, as NIfTI's readers choose;
    /// `None` if the file has neither.
    pub(super) fn of(header: &NiftiHeader) -> Option<Self> {
        if header.sform_code > 0 {
            let rows = [header.srow_x, header.srow_y, header.srow_z];
            return Some(Self(rows.map(|row| row.map(f64::from))));
        }
        (header.qform_code > 0).then(|| Self::of_quaternion(header))
    }

    /// Method 2 of the NIfTI-1 standard (`nifti1.h`).
    fn of_quaternion(header: &NiftiHeader) -> Self {
        let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
        let a = (1.0 - b * b - c * c - d * d).max(0.0).sqrt();
        let [mirror, width, height, depth] =
            [0, 1, 2, 3].map(|axis| f64::from(header.pixdim[axis]));
        let depth = if mirror < 0.0 { -depth } else { depth };
        let offset = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ];
        Self(std::array::from_fn(|row| {
            let [x, y, z] = rotation[row];
            [x * width, y * height, z * depth, offset[row]]
        }))
    }

    /// Position of a point given in voxels.
    pub(super) fn at(&self, [x, y, z]: [f64; 3]) -> [f64; 3] {
        self.0.map(|[a, b, c, offset]| a * x + b * y + c * z + offset)
    }

    /// The inverse map; `None` if voxels have no volume or a number is not finite.
    fn inverse(&self) -> Option<Self> {
        let m = self.0;
        // Cofactor of row r and column c.
        let minor = |r: usize, c: usize| {
            let [r1, r2, c1, c2] = [(r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3];
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        let determinant: f64 = (0..3).map(|c| m[0][c] * minor(0, c)).sum();
        let inverse = Self(std::array::from_fn(|row| {
            let [x, y, z] = [0, 1, 2].map(|column| minor(column, row) / determinant);
            [x, y, z, -(x * m[0][3] + y * m[1][3] + z * m[2][3])]
        }));
        inverse.0.iter().flatten().all(|value| value.is_finite()).then_some(inverse)
    }

    /// `self` after `first`.
    fn after(&self, first: &Self) -> Self {
        Self(self.0.map(|[a, b, c, offset]| {
            let column = |k: usize| a * first.0[0][k] + b * first.0[1][k] + c * first.0[2][k];
            [column(0), column(1), column(2), column(3) + offset]
        }))
    }

    /// Sizes of a voxel along the axes in mm, ascending, so that they do not depend on the order of
    /// the axes.
    fn voxel_size(&self) -> [f64; 3] {
        let length =
            |axis: usize| self.0.iter().map(|row| row[axis] * row[axis]).sum::<f64>().sqrt();
        let mut size = [0, 1, 2].map(length);
        size.sort_by(f64::total_cmp);
        size
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Places a mask with its shape and affine among the voxels of an image. Without one of the affines,
/// both have the same grid.
///
/// # Errors
/// Reason why the two do not belong together.
pub(super) fn place(
    (image_shape, image): (Shape, Option<Affine>),
    (mask_shape, mask): (Shape, Option<Affine>),
) -> Result<Placement, String> {
    let (Some(image), Some(mask)) = (image, mask) else { return Ok(Placement::Same) };
    let singular = || format!("voxels without volume: {}", affines(&image, &mask));
    let from_mm = mask.inverse().ok_or_else(singular)?;
    image.inverse().ok_or_else(singular)?;
    let map = from_mm.after(&image);
    if is_identity(&map, image_shape) {
        return Ok(Placement::Same);
    }
    let (of_image, of_mask) = (image.voxel_size(), mask.voxel_size());
    let alike = of_image.iter().zip(of_mask).all(|(a, b)| (a - b).abs() <= SAME_SIZE * a);
    if image_shape == mask_shape && !alike {
        return Err(format!(
            "it has as many voxels as its image, but of another size: {}; correct the header that \
             is wrong",
            affines(&image, &mask)
        ));
    }
    Ok(Placement::Mapped(map))
}

/// Both affines in words.
pub(super) fn affines(image: &Affine, mask: &Affine) -> String {
    format!("the affine of the image is {image}, that of the mask {mask}")
}

/// True if the nearest voxel of each voxel of a volume is the one with the same index.
fn is_identity(map: &Affine, Shape(sides): Shape) -> bool {
    // A difference of affine maps is largest at a corner.
    (0..8).all(|corner| {
        let at = [0, 1, 2].map(|axis| match corner >> axis & 1 {
            0 => 0.0,
            _ => (sides[axis] - 1) as f64,
        });
        map.at(at).iter().zip(at).all(|(found, at)| (found - at).abs() < 0.5)
    })
}

/// Values of a mask `[D, H, W]` at the voxels of an image of shape `image`: those of the nearest
/// voxels, and 0 outside the mask.
pub(super) fn resampled(values: &[u8], mask: Shape, image: Shape, map: &Affine) -> Vec<u8> {
    let ([width, height, depth], Shape(sides)) = (image.0, mask);
    let mut found = Vec::with_capacity(width * height * depth);
    for z in 0..depth {
        for y in 0..height {
            for x in 0..width {
                let at = map.at([x as f64, y as f64, z as f64]);
                found.push(nearest(at, sides).map_or(0, |index| values[index]));
            }
        }
    }
    found
}

/// Index of the voxel nearest to a point; `None` outside the volume.
fn nearest(at: [f64; 3], sides: [usize; 3]) -> Option<usize> {
    let mut index = 0;
    for axis in [2, 1, 0] {
        let place = (at[axis] + 0.5).floor();
        if !(0.0..sides[axis] as f64).contains(&place) {
            return None;
        }
        index = index * sides[axis] + place as usize;
    }
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagonal(sizes: [f64; 3], offset: [f64; 3]) -> Affine {
        Affine(std::array::from_fn(|row| {
            let mut values = [0.0, 0.0, 0.0, offset[row]];
            values[row] = sizes[row];
            values
        }))
    }

    #[test]
    fn sform_is_used_before_qform_and_neither_means_none() {
        let mut header = NiftiHeader {
            pixdim: [-1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
            srow_x: [1.0, 0.0, 0.0, 7.0],
            srow_y: [0.0, 1.0, 0.0, 8.0],
            srow_z: [0.0, 0.0, 1.0, 9.0],
            // Half a turn about z.
            quatern_d: 1.0,
            quatern_x: 10.0,
            ..NiftiHeader::default()
        };
        (header.sform_code, header.qform_code) = (0, 0);
        assert_eq!(Affine::of(&header), None);
        header.qform_code = 1;
        assert_eq!(Affine::of(&header), Some(diagonal([-2.0, -3.0, -4.0], [10.0, 0.0, 0.0])));
        header.sform_code = 2;
        assert_eq!(Affine::of(&header), Some(diagonal([1.0; 3], [7.0, 8.0, 9.0])));
    }

    #[test]
    fn quaternion_of_a_quarter_turn_swaps_axes() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let header = NiftiHeader {
            pixdim: [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0],
            qform_code: 1,
            sform_code: 0,
            quatern_b: 0.0,
            quatern_c: 0.0,
            quatern_d: half,
            ..NiftiHeader::default()
        };
        let [x, y, z] = Affine::of(&header).unwrap().at([1.0, 1.0, 1.0]);
        assert!((x + 3.0).abs() < 1e-6 && (y - 2.0).abs() < 1e-6 && (z - 4.0).abs() < 1e-6);
    }

    #[test]
    fn inverse_undoes_an_oblique_map() {
        let map = Affine([[0.9, -0.2, 0.1, 5.0], [0.3, 1.1, 0.0, -7.0], [-0.1, 0.2, 2.0, 3.0]]);
        let there = map.at([3.0, 4.0, 5.0]);
        let back = map.inverse().unwrap().at(there);
        assert!(back.iter().zip([3.0, 4.0, 5.0]).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-9));
        assert_eq!(diagonal([1.0, 0.0, 1.0], [0.0; 3]).inverse(), None);
        assert_eq!(diagonal([1.0, f64::NAN, 1.0], [0.0; 3]).inverse(), None);
    }

    #[test]
    fn flipped_and_permuted_masks_are_turned_into_the_grid_of_the_image() {
        let (image, mask) = (Shape([3, 2, 2]), Shape([2, 3, 2]));
        // Axes x and y are swapped, and x is flipped.
        let of_mask = Affine([[0.0, -1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);
        let placed = place((image, Some(diagonal([1.0; 3], [0.0; 3]))), (mask, Some(of_mask)));
        let Ok(Placement::Mapped(map)) = placed else { panic!("{placed:?}") };
        // Each mask voxel says its index: x + 2 y + 6 z.
        let values: Vec<u8> = (0..12).collect();
        let found = resampled(&values, mask, image, &map);
        let expected = [4, 2, 0, 5, 3, 1, 10, 8, 6, 11, 9, 7];
        assert_eq!(found, expected);
    }

    #[test]
    fn coarser_mask_is_enlarged_and_outside_is_background() {
        let (image, mask) = (Shape([6, 1, 1]), Shape([2, 1, 1]));
        let of_image = diagonal([1.0; 3], [0.0; 3]);
        let of_mask = diagonal([2.0, 1.0, 1.0], [0.5, 0.0, 0.0]);
        let placed = place((image, Some(of_image)), (mask, Some(of_mask)));
        let Ok(Placement::Mapped(map)) = placed else { panic!("{placed:?}") };
        assert_eq!(resampled(&[1, 2], mask, image, &map), [1, 1, 2, 2, 0, 0]);
    }

    #[test]
    fn rounding_is_the_same_grid_and_other_voxel_sizes_are_refused() {
        let shape = Shape([10, 10, 4]);
        let image = diagonal([1.0; 3], [0.0; 3]);
        let with = |mask| place((shape, Some(image)), (shape, mask));
        assert_eq!(with(None), Ok(Placement::Same));
        assert_eq!(with(Some(diagonal([1.0001; 3], [0.01; 3]))), Ok(Placement::Same));
        let error = with(Some(diagonal([3.0, 3.0, 2.0], [0.0; 3]))).unwrap_err();
        for part in ["of another size", "[[1.0, 0.0, 0.0, 0.0]", "[[3.0, 0.0, 0.0, 0.0]"] {
            assert!(error.contains(part), "{error}");
        }
        let error = with(Some(diagonal([1.0, 1.0, 0.0], [0.0; 3]))).unwrap_err();
        assert!(error.contains("voxels without volume"), "{error}");
    }
}
