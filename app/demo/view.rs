//! The camera over the street: a pinhole that looks along the ground.

/// Where a point of the street is in the picture. Metres: x to the right, z away from the camera.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Height of the camera over the ground, in metres.
    pub camera: f32,
    /// Focal length, in heights of the picture.
    pub focal: f32,
    /// The horizon from the top, in heights of the picture.
    pub horizon: f32,
    /// Width of the picture over its height.
    pub aspect: f32,
}

impl View {
    /// Picture heights a metre takes at distance `z`.
    pub fn scale(&self, z: f32) -> f32 {
        self.focal / z.max(0.1)
    }

    /// A point of the ground in the picture, in heights of the picture from its top left corner.
    pub fn ground(&self, x: f32, z: f32) -> (f32, f32) {
        self.raised(x, 0.0, z)
    }

    /// A point `y` metres above the ground, as [`View::ground`].
    pub fn raised(&self, x: f32, y: f32, z: f32) -> (f32, f32) {
        let scale = self.scale(z);
        (self.aspect / 2.0 + x * scale, self.horizon + (self.camera - y) * scale)
    }

    /// The distance at which the ground is `down` picture heights below the top.
    pub fn distance(&self, down: f32) -> f32 {
        self.focal * self.camera / (down - self.horizon).max(1e-3)
    }

    /// Half of the width that is seen at distance `z`, in metres.
    pub fn half_width(&self, z: f32) -> f32 {
        self.aspect / 2.0 / self.scale(z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_as_high_as_the_camera_reaches_the_horizon() {
        let view = View { camera: 1.8, focal: 1.1, horizon: 0.4, aspect: 16.0 / 9.0 };
        for z in [3.0, 10.0, 40.0] {
            let (x, top) = view.raised(0.0, 1.8, z);
            assert!((top - 0.4).abs() < 1e-6);
            assert!((x - 8.0 / 9.0).abs() < 1e-6);
            let (_, foot) = view.ground(0.0, z);
            assert!((view.distance(foot) - z).abs() < z * 1e-4);
            let (edge, _) = view.ground(view.half_width(z), z);
            assert!((edge - view.aspect).abs() < 1e-5);
        }
    }
}
