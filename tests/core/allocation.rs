//! Once warm, preprocessing takes no memory from the heap.

use allocation_counter::measure;
use spotter_core::preprocess::{I420Buffer, Preprocessor, ViewScaler};
use spotter_core::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};
use spotter_core::vision::geometry::Fit;
use spotter_core::vision::tensor::{DataType, TensorInfo};

fn frame(format: PixelFormat, width: usize, height: usize) -> Frame {
    let plane = |index| {
        let pitch = format.plane_row_bytes(index, width) + 5;
        (vec![90; pitch * format.plane_rows(index, height)], pitch)
    };
    let planes = (0..format.plane_count()).map(plane).collect();
    Frame::now(0, FrameLayout::new(format, width, height), Box::new(OwnedPixels { planes }))
}

#[test]
fn a_warm_preprocessor_allocates_nothing() {
    for (format, still) in PixelFormat::ALL.map(|f| (f, false)).into_iter().chain([(PixelFormat::Rgb, true)])
    {
        let mut frame = frame(format, 321, 181);
        frame.still = still;
        for dtype in [DataType::U8, DataType::I8, DataType::F32] {
            for fit in [Fit::Letterbox, Fit::Stretch, Fit::Crop] {
                let shape = vec![1, 96, 128, 3];
                let input = TensorInfo { name: "input".into(), shape, dtype, quantisation: None };
                let mut preprocessor = Preprocessor::new(&input, fit).unwrap();
                let mut tensor = vec![0; preprocessor.tensor_bytes()];
                preprocessor.run(&frame, &mut tensor).unwrap();
                let info = measure(|| {
                    preprocessor.run(&frame, &mut tensor).unwrap();
                });
                assert_eq!(info.count_total, 0, "{format:?} {dtype} {fit} {still}");
            }
        }
    }
}

#[test]
fn a_warm_view_allocates_nothing() {
    for format in PixelFormat::ALL {
        let frame = frame(format, 321, 181);
        for (width, height) in [(160, 90), (321, 181)] {
            let (mut view, mut planes) = (ViewScaler::new(), I420Buffer::new());
            view.run(&frame, width, height, &mut planes).unwrap();
            let info = measure(|| view.run(&frame, width, height, &mut planes).unwrap());
            assert_eq!(info.count_total, 0, "{format:?} {width}x{height}");
        }
    }
}
