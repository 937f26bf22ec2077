//! A page as the drawing surface of plotters, so that axes and curves use the strokes and font of
//! this module.

use std::convert::Infallible;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

use super::page::{self, Page};

pub(super) struct Plot<'a>(pub(super) &'a mut Page);

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Plot<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.0.size()
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.0.blend(x.into(), y.into(), colour.rgb.into(), colour.alpha as f32);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, a: BackendCoord, b: BackendCoord, style: &S) -> Drawn {
        self.draw_path([a, b], style)
    }

    fn draw_path<S, I>(&mut self, path: I, style: &S) -> Drawn
    where
        S: BackendStyle,
        I: IntoIterator<Item = BackendCoord>,
    {
        let path: Vec<_> = path.into_iter().map(middle).collect();
        self.0.stroke(&path, style.stroke_width() as f32 / 2.0, style.color().rgb.into());
        Ok(())
    }

    /// Draws a filled circle, the mark of a single point.
    fn draw_circle<S: BackendStyle>(
        &mut self,
        centre: BackendCoord,
        radius: u32,
        style: &S,
        _fill: bool,
    ) -> Drawn {
        self.0.stroke(&[middle(centre)], radius as f32, style.color().rgb.into());
        Ok(())
    }

    /// Draws upright text only.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let px = style.size() as f32;
        let [x, y] = middle(at);
        let left = match style.anchor().h_pos {
            HPos::Left => x,
            HPos::Center => x - page::text_width(text, px) / 2.0,
            HPos::Right => x - page::text_width(text, px),
        };
        let baseline = match style.anchor().v_pos {
            VPos::Top => y + page::capital_height(px),
            VPos::Center => y + page::capital_height(px) / 2.0,
            VPos::Bottom => y,
        };
        self.0.write(text, [left, baseline], px, style.color().rgb.into());
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let px = style.size() as f32;
        Ok((page::text_width(text, px).ceil() as u32, page::capital_height(px).ceil() as u32))
    }
}

fn middle((x, y): BackendCoord) -> [f32; 2] {
    [x as f32 + 0.5, y as f32 + 0.5]
}
