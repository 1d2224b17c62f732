//! What a video needs of the memory budget, and the frame buffers that it gets.
//!
//! A buffer holds a frame, or a decoded picture that waits to be converted where somebody looks, which is
//! smaller. Its bytes are taken from the budget before it is made, and it goes round between the
//! stages until its video ends: however fast a decoder is, it waits for a buffer to come back.
//! Before a video begins, what its decoder and encoder keep for themselves and one buffer are
//! reserved in one piece, so that videos wait for each other but never for ever. Where pictures grow
//! on the way, their decoder takes what it needs beyond that at once, and the others wait.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lake::{MAX_BUFFERED_BYTES, PersonRow};
use crate::pose::LOOKAHEAD_FRAMES;
use crate::resources::{DatabaseUse, MemoryBudget, Permit};
use crate::video::{
    Frame, MAX_ENCODING_PICTURES, MAX_STATES_BYTES, MIN_ENCODING_PICTURES, VideoInfo,
    frame_memory_pixels,
};

/// The program itself with its libraries, stacks and queues of rows; with one worker and the
/// database's commit 252 MiB are resident when pictures are tiny.
const PROCESS_BYTES: u64 = 160 << 20;
/// A worker's detector and its working memory.
const WORKER_BYTES: u64 = 30 << 20;
/// Bytes that a session of a landmark model takes for each byte of its file: the weights, packed
/// anew for the processor, and room to work; 280 MiB in all were measured with the full model,
/// 390 with the heavy one.
const SESSION_BYTES_PER_FILE_BYTE: u64 = 3;
/// Poses that are held back until it is certain who is in a frame: of a person in one frame, once
/// with the tracker and once with the frame.
const HELD_POSE_BYTES: u64 = 2 * 1200;
/// Rows that wait for the writer, in frames.
pub const QUEUED_ROWS: usize = 256;
const MIN_DATABASE_BYTES: u64 = 64 << 20;
const MAX_DATABASE_BYTES: u64 = 256 << 20;
/// Bits per pixel of a decoded picture before it becomes BGR: 4:2:0 with 8 bits takes 12, with
/// 10 bits 24. On two cores a 4K decoder was measured at 17 bytes per pixel of the video.
const DECODED_PIXEL_BITS: u64 = 20;
/// Pictures that a decoder keeps for reference, with those on their way (H.264 level 5.1 at 4K
/// keeps 5).
const REFERENCE_PICTURES: u64 = 6;
/// FFmpeg decodes a picture per thread, on at most this many.
const MAX_DECODER_THREADS: usize = 16;
/// Bytes per pixel of the picture that a decoded one is converted into before it is turned, or of
/// that in which parts are converted on demand.
const CONVERTED_PIXEL_BYTES: u64 = 3;
/// Decoders give rows and columns room for whole blocks, and pictures of 4:2:0 with 8 bits, which may
/// wait in a frame's place to be converted, take 12 bits a pixel of that.
const BLOCK_PX: u64 = 128;
const WAITING_PIXEL_BITS: u64 = 12;
/// Bytes per pixel that pictures of high dynamic range take while they are brought down: three
/// times three planes of floats, and the result.
const TONE_MAPPED_PIXEL_BYTES: u64 = 38;
/// Bytes per pixel that the H.264 encoder takes with its conversions, measured at 11, and with the few
/// pictures that always may wait for it.
const ENCODER_PIXEL_BYTES: u64 = 15;
/// Bits per pixel of more pictures that wait, of which there are as many as fit into so many bytes, where
/// the budget has them beside all buffers. Some take the encoder longer than others, and meanwhile
/// everybody else goes on.
const ENCODING_PIXEL_BITS: u64 = 12;
const ENCODING_BYTES: u64 = 32 << 20;
/// Less room than this holds no video worth the name.
const MIN_ROOM_BYTES: u64 = 32 << 20;
/// Bytes per pixel of a frame: blue, green, red.
const FRAME_PIXEL_BYTES: u64 = 3;
/// More buffers than this smooth nothing out.
const MAX_BUFFERS: usize = 12;
/// Drawing and encoding hold buffers too.
const MORE_BUFFERS_WITH_VIDEO: usize = 2;
/// Buffers beyond the fourth are only made while all together take less than this.
const USUAL_BUFFER_BYTES: u64 = 64 << 20;
const USUAL_BUFFERS: usize = 4;

/// How a video is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    Off,
    /// Each picture when its poses are known, which are known at once.
    WithEstimates,
    /// On pictures that are decoded once more, since poses are held back.
    Again,
}

/// How many threads work on a video's frames.
#[derive(Clone, Copy, Debug)]
pub struct FrameThreads {
    pub decoding: usize,
    /// That look at frames at once, of which each converts what it looks at.
    pub looking: usize,
}

/// How the budget of a run is divided.
#[derive(Clone, Debug)]
pub struct MemoryPlan {
    /// For frames, decoders and encoders.
    pub frames: Arc<MemoryBudget>,
    /// Videos at once.
    pub workers: usize,
    /// For the whole process.
    pub limit_bytes: u64,
    max_workers: usize,
    worker_bytes: u64,
}

/// A budget that is too small.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// Models, database and buffers of one worker alone take more than there is.
    #[error(
        "the memory budget of {limit} is too small: {needed} are needed before the first frame; raise --memory-limit"
    )]
    NoRoom {
        /// The whole process's budget.
        limit: Size,
        /// The least that would do.
        needed: Size,
    },
    /// One video has pictures so large that its buffers can never be paid for.
    #[error(
        "not one frame of {width}x{height} pixels fits into the memory budget of {limit}: {needed} are needed; raise --memory-limit: {path}"
    )]
    FrameTooLarge {
        /// Of the upright picture, in pixels.
        width: u32,
        /// Of the upright picture, in pixels.
        height: u32,
        /// The whole process's budget.
        limit: Size,
        /// The least that would do.
        needed: Size,
        /// The video.
        path: PathBuf,
    },
}

/// Bytes, shown as people read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MiB", self.0.div_ceil(1 << 20))
    }
}

/// What a worker takes, with the writer of its video's rows, that has `sessions` sessions of a landmark model whose file has
/// `model_file_bytes`, to follow `max_persons` people.
pub fn worker_bytes(model_file_bytes: u64, sessions: usize, max_persons: u16) -> u64 {
    let held_poses = LOOKAHEAD_FRAMES as u64 * u64::from(max_persons);
    // Behind the worker, and behind the thread that draws.
    let queued_rows = 2 * QUEUED_ROWS as u64 * u64::from(max_persons);
    WORKER_BYTES
        + MAX_BUFFERED_BYTES
        + size_of::<PersonRow>() as u64 * queued_rows
        + SESSION_BYTES_PER_FILE_BYTE * model_file_bytes * sessions as u64
        + HELD_POSE_BYTES * held_poses
}

/// The database's part of a budget.
pub fn database_bytes(limit_bytes: u64) -> u64 {
    let share = DatabaseUse::Commit.memory_bytes(limit_bytes);
    share.clamp(MIN_DATABASE_BYTES, MAX_DATABASE_BYTES)
}

impl MemoryPlan {
    /// Divides `limit_bytes` over at most `max_workers` workers of `worker_bytes` each: fewer, where
    /// they would leave less than three quarters of what they share to frames.
    ///
    /// # Errors
    /// [`MemoryError::NoRoom`] when not even one worker fits.
    pub fn new(
        limit_bytes: u64,
        max_workers: usize,
        worker_bytes: u64,
    ) -> Result<Self, MemoryError> {
        let fixed = PROCESS_BYTES + worker_bytes + database_bytes(limit_bytes);
        let Some(room) = limit_bytes.checked_sub(fixed).filter(|room| *room > 0) else {
            return Err(MemoryError::NoRoom {
                limit: Size(limit_bytes),
                needed: Size(fixed + MIN_ROOM_BYTES),
            });
        };
        // Further workers come out of what would be left to frames.
        let affordable = 1 + room / 4 / worker_bytes;
        let workers = max_workers.clamp(1, affordable as usize);
        Ok(Self {
            frames: Arc::new(MemoryBudget::new(
                room - (workers as u64 - 1) * worker_bytes,
            )),
            workers,
            limit_bytes,
            max_workers,
            worker_bytes,
        })
    }

    /// The smallest limit, in whole mebibytes, that leaves `bytes` to frames.
    fn limit_for(&self, bytes: u64) -> u64 {
        const STEP: u64 = 1 << 20;
        let leaves_enough = |limit: &u64| {
            Self::new(*limit, self.max_workers, self.worker_bytes)
                .is_ok_and(|plan| plan.frames.total_bytes() >= bytes)
        };
        let limits = (self.limit_bytes / STEP + 1..).map(|mebibytes| mebibytes * STEP);
        limits
            .take_while(|l| *l < 1 << 50)
            .find(leaves_enough)
            .unwrap_or(u64::MAX)
    }
}

/// What a decoded picture takes that waits to be converted where somebody looks.
fn waiting_bytes(coded_width: u32, coded_height: u32) -> u64 {
    let [columns, rows] =
        [coded_width, coded_height].map(|side| u64::from(side).next_multiple_of(BLOCK_PX));
    columns * rows * WAITING_PIXEL_BITS / 8
}

/// The frame buffers of one video, with everything else that it reserves.
pub struct FramePool {
    plan: MemoryPlan,
    path: PathBuf,
    buffer_bytes: u64,
    /// What the decoders take that grows with the stored pictures, and the largest so far.
    bytes_per_stored_pixel: f64,
    stored_pixels: u64,
    /// What the video cannot do without.
    least_bytes: u64,
    permits: Vec<Permit>,
    made: usize,
    most: usize,
    encoding_pictures: usize,
}

impl FramePool {
    /// Waits until the video that `info` describes fits beside those in work.
    ///
    /// # Errors
    /// [`MemoryError::FrameTooLarge`] when it does not fit even alone.
    pub fn reserve(
        plan: &MemoryPlan,
        info: &VideoInfo,
        threads: FrameThreads,
        drawing: Drawing,
        path: &Path,
    ) -> Result<Self, MemoryError> {
        let pixels = u64::from(info.width) * u64::from(info.height);
        let coded_pixels = u64::from(info.coded_width) * u64::from(info.coded_height);
        let decoder_pictures =
            REFERENCE_PICTURES + threads.decoding.min(MAX_DECODER_THREADS) as u64;
        let of_stored = frame_memory_pixels(info.coded_width, info.coded_height);
        let of_shown = frame_memory_pixels(info.width, info.height);
        let frame_pixels = of_stored.max(of_shown);
        let room_bytes = CONVERTED_PIXEL_BYTES * frame_pixels + MAX_STATES_BYTES;
        let converter_bytes = room_bytes
            + match info.is_tone_mapped {
                true => TONE_MAPPED_PIXEL_BYTES * coded_pixels,
                false => 0,
            };
        let decoder_bytes =
            decoder_pictures * coded_pixels * DECODED_PIXEL_BITS / 8 + converter_bytes;
        let buffer_bytes = (FRAME_PIXEL_BYTES * frame_pixels)
            .max(waiting_bytes(info.coded_width, info.coded_height));
        let encoder_bytes = ENCODER_PIXEL_BYTES * pixels;
        let (drawing_bytes, more_buffers) = match drawing {
            Drawing::Off => (0, 0),
            Drawing::WithEstimates => (encoder_bytes, MORE_BUFFERS_WITH_VIDEO),
            // With a decoder and a buffer of its own.
            Drawing::Again => (encoder_bytes + decoder_bytes + buffer_bytes, 0),
        };
        // Who looks first looks where the decoder would convert.
        let more_rooms = threads.looking.saturating_sub(1) as u64;
        let least = decoder_bytes + drawing_bytes + buffer_bytes + more_rooms * room_bytes;
        let Some(permit) = plan.frames.acquire(least) else {
            return Err(MemoryError::FrameTooLarge {
                width: info.width,
                height: info.height,
                limit: Size(plan.limit_bytes),
                needed: Size(plan.limit_for(least)),
                path: path.into(),
            });
        };
        let usual = (USUAL_BUFFER_BYTES / buffer_bytes.max(1)) as usize;
        let decoders = if drawing == Drawing::Again { 2.0 } else { 1.0 };
        let tone_mapped = if info.is_tone_mapped {
            TONE_MAPPED_PIXEL_BYTES
        } else {
            0
        };
        let decoded = (decoder_pictures * DECODED_PIXEL_BITS) as f64 / 8.0;
        let mut pool = Self {
            plan: plan.clone(),
            path: path.into(),
            buffer_bytes,
            bytes_per_stored_pixel: decoders * (decoded + tone_mapped as f64),
            stored_pixels: coded_pixels,
            least_bytes: least,
            permits: vec![permit],
            made: 0,
            most: usual.clamp(USUAL_BUFFERS, MAX_BUFFERS) + more_buffers,
            encoding_pictures: MIN_ENCODING_PICTURES,
        };
        if drawing != Drawing::Off {
            pool.let_more_pictures_wait(pixels);
        }
        Ok(pool)
    }

    /// Pays for more pictures that wait for the encoder, if the budget has room for them beside all buffers.
    fn let_more_pictures_wait(&mut self, pixels: u64) {
        let picture_bytes = (pixels * ENCODING_PIXEL_BITS / 8).max(1);
        let usual = (ENCODING_BYTES / picture_bytes) as usize;
        let pictures = usual.clamp(MIN_ENCODING_PICTURES, MAX_ENCODING_PICTURES);
        let bytes = (pictures - MIN_ENCODING_PICTURES) as u64 * picture_bytes;
        let of_buffers = (self.most as u64 - 1) * self.buffer_bytes;
        let frames = &self.plan.frames;
        if frames.free_bytes() >= bytes + of_buffers
            && let Some(permit) = frames.try_acquire(bytes)
        {
            self.permits.push(permit);
            self.encoding_pictures = pictures;
        }
    }

    /// Pictures that may be encoded or wait for it.
    pub fn encoding_pictures(&self) -> usize {
        self.encoding_pictures
    }

    /// Buffers that there are.
    pub fn made(&self) -> usize {
        self.made
    }

    /// The most buffers that this video can have.
    pub fn capacity(&self) -> usize {
        self.most
    }

    /// Another buffer, if the budget has one left.
    pub fn another(&mut self) -> Option<Frame> {
        if self.made >= self.most {
            return None;
        }
        if self.made > 0 {
            self.permits
                .push(self.plan.frames.try_acquire(self.buffer_bytes)?);
        }
        self.made += 1;
        Some(Frame::default())
    }

    /// Pays for stored pictures of another size, where they are larger than all before.
    ///
    /// # Errors
    /// [`MemoryError::FrameTooLarge`] when the video does not fit any more even alone.
    pub fn grow(&mut self, width: u32, height: u32) -> Result<(), MemoryError> {
        let pixels = u64::from(width) * u64::from(height);
        let more = pixels.saturating_sub(self.stored_pixels);
        if more == 0 {
            return Ok(());
        }
        let bytes = (more as f64 * self.bytes_per_stored_pixel) as u64;
        self.stored_pixels = pixels;
        self.least_bytes += bytes;
        if self.least_bytes > self.plan.frames.total_bytes() {
            return Err(MemoryError::FrameTooLarge {
                width,
                height,
                limit: Size(self.plan.limit_bytes),
                needed: Size(self.plan.limit_for(self.least_bytes)),
                path: self.path.clone(),
            });
        }
        self.permits.push(self.plan.frames.overdraw(bytes));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(width: u32, height: u32) -> VideoInfo {
        VideoInfo {
            width,
            height,
            coded_width: width,
            coded_height: height,
            ..VideoInfo::default()
        }
    }

    const THREADS: FrameThreads = FrameThreads {
        decoding: 2,
        looking: 1,
    };

    #[test]
    fn workers_follow_the_budget() {
        let gib = |n: u64| n << 30;
        let worker_bytes = worker_bytes(13 << 20, 1, 1);
        let plan = |limit| MemoryPlan::new(limit, 4, worker_bytes);
        assert_eq!(plan(gib(8)).expect("room").workers, 4);
        assert_eq!(plan(500 << 20).expect("room").workers, 1);
        let error = plan(300 << 20).expect_err("no room");
        assert!(error.to_string().contains("are needed"), "{error}");
    }

    #[test]
    fn rows_of_many_people_are_counted_and_do_not_multiply_what_the_writer_keeps() {
        let one = worker_bytes(13 << 20, 1, 1);
        let sixteen = worker_bytes(13 << 20, 1, 16);
        assert!(one > MAX_BUFFERED_BYTES);
        let queued = 2 * QUEUED_ROWS as u64 * size_of::<PersonRow>() as u64;
        let held = LOOKAHEAD_FRAMES as u64 * HELD_POSE_BYTES;
        assert_eq!(sixteen - one, 15 * (queued + held));
        const { assert!(MAX_BUFFERED_BYTES < 64 << 20) };
    }

    #[test]
    fn a_pool_gives_one_buffer_whatever_happens_and_more_while_the_budget_lasts() {
        let plan = MemoryPlan::new(2 << 30, 1, worker_bytes(13 << 20, 1, 1)).expect("room");
        let reserve = |width, height| {
            FramePool::reserve(
                &plan,
                &info(width, height),
                THREADS,
                Drawing::WithEstimates,
                Path::new("x.mp4"),
            )
        };
        let mut small = reserve(320, 240).expect("room");
        let buffers = std::iter::from_fn(|| small.another()).count();
        assert_eq!(buffers, small.capacity());
        let free = plan.frames.free_bytes();
        let rest = plan.frames.acquire(free).expect("all that is left");
        let mut starved = small;
        assert!(starved.another().is_none());
        drop((rest, starved));
        assert_eq!(plan.frames.free_bytes(), plan.frames.total_bytes());
        let error = reserve(30_000, 20_000).err().expect("too large");
        assert!(error.to_string().contains("30000x20000"), "{error}");
    }

    #[test]
    fn a_buffer_is_paid_for_whether_it_is_converted_or_waits() {
        for (width, height) in [(1, 1), (64, 48), (129, 130), (1776, 1008), (3840, 2160)] {
            let plan = MemoryPlan::new(2 << 30, 1, worker_bytes(13 << 20, 1, 1)).expect("room");
            let path = Path::new("x.mp4");
            let pool = FramePool::reserve(&plan, &info(width, height), THREADS, Drawing::Off, path);
            let bytes = pool.expect("room").buffer_bytes;
            let converted = FRAME_PIXEL_BYTES * frame_memory_pixels(width, height);
            // With rows of luma and chroma that begin at multiples of 64 bytes.
            let luma = u64::from(width).next_multiple_of(64) * u64::from(height);
            let chroma =
                u64::from(width.div_ceil(2)).next_multiple_of(64) * u64::from(height.div_ceil(2));
            assert!(
                bytes >= converted && bytes >= luma + 2 * chroma,
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn more_pictures_wait_for_the_encoder_where_there_is_room_beside_all_buffers() {
        let waiting = |megabytes: u64, drawing, (width, height)| {
            let worker = worker_bytes(13 << 20, 1, 1);
            let plan = MemoryPlan::new(2 << 30, 1, worker).expect("room");
            let frames = &plan.frames;
            let others = frames.total_bytes() - (megabytes << 20);
            let _others = frames.try_acquire(others).expect("room");
            let info = info(width, height);
            let path = Path::new("x.mp4");
            let pool = FramePool::reserve(&plan, &info, THREADS, drawing, path).expect("room");
            pool.encoding_pictures()
        };
        let hd = (1920, 1080);
        assert_eq!(waiting(500, Drawing::Off, hd), MIN_ENCODING_PICTURES);
        assert_eq!(waiting(500, Drawing::WithEstimates, hd), 10);
        assert_eq!(waiting(500, Drawing::Again, hd), 10);
        assert_eq!(waiting(500, Drawing::WithEstimates, (640, 360)), 12);
        assert_eq!(waiting(1000, Drawing::WithEstimates, (3840, 2160)), 2);
        assert_eq!(
            waiting(150, Drawing::WithEstimates, hd),
            MIN_ENCODING_PICTURES
        );
    }

    #[test]
    fn pictures_that_grow_are_paid_for_once_and_given_back() {
        let plan = MemoryPlan::new(2 << 30, 1, worker_bytes(13 << 20, 1, 1)).expect("room");
        let reserve = |width, height| {
            let path = Path::new("x.ts");
            let info = info(width, height);
            let pool = FramePool::reserve(&plan, &info, THREADS, Drawing::Off, path).expect("room");
            let taken = plan.frames.total_bytes() - plan.frames.free_bytes();
            (pool, taken)
        };
        let (large, for_large) = reserve(1920, 1080);
        drop(large);
        let (mut pool, for_small) = reserve(640, 360);
        for (width, height) in [(640, 360), (1920, 1080), (1280, 720), (1080, 1920)] {
            pool.grow(width, height).expect("room");
        }
        let taken = plan.frames.total_bytes() - plan.frames.free_bytes();
        // As much as a video that was large from the beginning, but for its larger frames.
        let frames = (CONVERTED_PIXEL_BYTES + FRAME_PIXEL_BYTES)
            * (frame_memory_pixels(1920, 1080) - frame_memory_pixels(640, 360));
        assert!(for_small < taken, "{for_small} {taken}");
        assert!(
            taken.abs_diff(for_large - frames) <= 1,
            "{taken} {for_large}"
        );
        // What others hold meanwhile does not stop it.
        let rest = plan.frames.acquire(plan.frames.free_bytes());
        pool.grow(2560, 1440).expect("an overdraft");
        assert_eq!(plan.frames.free_bytes(), 0);
        let error = pool.grow(30_000, 20_000).expect_err("too large");
        assert!(error.to_string().contains("30000x20000"), "{error}");
        drop((rest, pool));
        assert_eq!(plan.frames.free_bytes(), plan.frames.total_bytes());
    }
}
