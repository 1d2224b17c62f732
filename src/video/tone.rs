//! Brings pictures of high dynamic range (HLG, PQ) to what screens and pose models are made for.
//!
//! Undone, HLG and PQ look washed out and dark: their curves are not those of BT.709, nor are their
//! primaries. Light is made linear, its primaries are changed from BT.2020 to BT.709, and what is
//! brighter than diffuse white is compressed (Mobius curve: what is darker keeps its brightness),
//! by zimg and FFmpeg's own filter.

use std::ffi::CString;
use std::ptr;

use ffmpeg_the_third::filter::{self, Graph};
use ffmpeg_the_third::{Error, Frame, ffi};

use super::ffmpeg::{Colors, Picture, UNSPECIFIED};

/// H.273 code points of the curves of high dynamic range: SMPTE ST 2084 and ARIB STD-B67.
const PQ: u32 = 16;
const HLG: u32 = 18;
/// Brightness in cd/m² that becomes white; what is above is compressed.
const WHITE_CD_PER_M2: u32 = 100;

/// Whether pictures with these colours have to be brought down.
pub fn is_high_dynamic_range(colors: Colors) -> bool {
    matches!(colors.transfer, PQ | HLG)
}

/// A chain of filters for pictures of one kind.
pub struct ToneMapper {
    kind: Kind,
    graph: Graph,
    mapped: Picture,
}

#[derive(Clone, Copy, PartialEq)]
struct Kind {
    width: i32,
    height: i32,
    format: i32,
    colors: Colors,
}

/// What the ends of a chain are called where it does not name them.
const SOURCE: &str = "in";
const SINK: &str = "out";

impl Kind {
    fn of(picture: &Picture, colors: Colors) -> Self {
        let frame = picture.raw();
        Self {
            width: frame.width,
            height: frame.height,
            format: frame.format,
            colors,
        }
    }
}

impl ToneMapper {
    /// Gives `picture` as limited-range BT.709 with 8 bits (4:2:0). `mapper` is kept from picture
    /// to picture.
    pub fn map<'m>(
        mapper: &'m mut Option<Self>,
        picture: &Picture,
        colors: Colors,
        threads: usize,
    ) -> Result<&'m Picture, Error> {
        let kind = Kind::of(picture, colors);
        if mapper.as_ref().is_none_or(|known| known.kind != kind) {
            *mapper = Some(Self::new(kind, threads)?);
        }
        match mapper {
            Some(mapper) => mapper.run(picture),
            None => Err(Error::FilterNotFound),
        }
    }

    fn new(kind: Kind, threads: usize) -> Result<Self, Error> {
        let Kind {
            width,
            height,
            format,
            colors,
        } = kind;
        let mut graph = Graph::new();
        // SAFETY: sets a plain number before the graph is configured.
        unsafe { (*graph.as_mut_ptr()).nb_threads = threads.max(1) as i32 };
        let find = |name| filter::find(name).ok_or(Error::FilterNotFound);
        let source =
            format!("video_size={width}x{height}:pix_fmt={format}:time_base=1/1:pixel_aspect=1/1");
        graph.add(&find("buffer")?, SOURCE, &source)?;
        graph.add(&find("buffersink")?, SINK, "")?;
        // What the stream leaves open is what comes with these curves.
        let transfer = if colors.transfer == PQ {
            "smpte2084"
        } else {
            "arib-std-b67"
        };
        let mut known = format!("tin={transfer}");
        if colors.primaries == UNSPECIFIED {
            known += ":pin=bt2020";
        }
        if colors.matrix == UNSPECIFIED {
            known += ":min=bt2020nc";
        }
        let chain = format!(
            "zscale={known}:t=linear:npl={WHITE_CD_PER_M2}:p=bt709,format=gbrpf32le,\
             tonemap=mobius:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p"
        );
        graph.output(SOURCE, 0)?.input(SINK, 0)?.parse(&chain)?;
        graph.validate()?;
        Ok(Self {
            kind,
            graph,
            mapped: Picture::empty(),
        })
    }

    fn run(&mut self, picture: &Picture) -> Result<&Picture, Error> {
        let named = |graph: &mut Graph, name: &str| {
            let name = CString::new(name).map_err(|_| Error::FilterNotFound)?;
            // SAFETY: looks a filter up that the graph owns.
            let found =
                unsafe { ffi::avfilter_graph_get_filter(graph.as_mut_ptr(), name.as_ptr()) };
            ptr::NonNull::new(found).ok_or(Error::FilterNotFound)
        };
        let source = named(&mut self.graph, SOURCE)?;
        let sink = named(&mut self.graph, SINK)?;
        // SAFETY: both filters live as long as the graph. The source takes a reference of its own
        // to the picture, which stays as it is; the sink fills a picture that was emptied before.
        unsafe {
            let flags = ffi::AV_BUFFERSRC_FLAG_KEEP_REF.0 as i32;
            let taken = ffi::av_buffersrc_add_frame_flags(
                source.as_ptr(),
                picture.frame.as_ptr().cast_mut(),
                flags,
            );
            if taken < 0 {
                return Err(Error::from(taken));
            }
            let mapped: &mut Frame = &mut self.mapped.frame;
            ffi::av_frame_unref(mapped.as_mut_ptr());
            let given = ffi::av_buffersink_get_frame(sink.as_ptr(), mapped.as_mut_ptr());
            if given < 0 {
                return Err(Error::from(given));
            }
        }
        Ok(&self.mapped)
    }
}
