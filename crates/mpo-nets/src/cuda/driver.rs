//! A card, through the driver's library: memory, streams, and the launch list as one graph.
//!
//! Nothing waits for the card but reading, writing and filling a staging slot whose copy is still under way: batches are copied
//! on a stream of their own while the update before runs, and the host goes on at once.
#![expect(unsafe_code, reason = "the driver's foreign functions")]

use std::{
    ffi::{CString, c_void},
    ptr,
    sync::Arc,
};

use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result, sys};

use super::{
    device::{Device, meet_on_host},
    launch::{Argument, Launch, LaunchList},
    meeting::{Meeting, Place},
    model::Model,
    nvrtc,
};
use crate::{GradientReducer, NetsError};

/// The first driver whose graphs have the nodes that are used: that of CUDA 12.
const OLDEST_DRIVER: i32 = 12_000;

/// Dynamic shared memory that a kernel has without asking.
const SHARED_UNASKED: u32 = 48 << 10;

/// A CUDA device with the kernels of one model.
#[derive(Debug)]
pub struct Cuda {
    // Fields are dropped in this order: what lives in the context before it.
    prepared: Option<Prepared>,
    meeting: Option<Meeting>,
    functions: Vec<(&'static str, sys::CUfunction)>,
    _module: Module,
    compute: Arc<CudaStream>,
    copies: Arc<CudaStream>,
    context: Arc<CudaContext>,
}

// SAFETY: the driver's handles may be used from any thread that has the context bound, which every function does first; one
// thread at a time, which `&mut self` ensures.
unsafe impl Send for Cuda {}

/// What belongs to one list.
#[derive(Debug)]
struct Prepared {
    graph: Graph,
    /// What follows the list's meeting.
    conclusion: Option<Graph>,
    list: LaunchList,
    arenas: Memory,
    /// Both slots.
    batches: Memory,
    staged: [Pinned; 2],
    /// When a slot's last copy has ended, and the last launch that read it.
    copied: [CudaEvent; 2],
    launched: [CudaEvent; 2],
}

#[derive(Debug)]
struct Module(sys::CUmodule, Arc<CudaContext>);

#[derive(Debug)]
struct Memory(sys::CUdeviceptr, Arc<CudaContext>);

#[derive(Debug)]
struct Pinned(*mut u32, usize, Arc<CudaContext>);

#[derive(Debug)]
struct Graph(sys::CUgraph, sys::CUgraphExec, Arc<CudaContext>);

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded by us, in this context; its functions are not used any more. An error has nobody to go to.
        let _ = self.1.bind_to_thread().and_then(|()| unsafe { result::module::unload(self.0) });
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated by us, in this context, and freed once; freeing waits for what uses it.
        let _ = self.1.bind_to_thread().and_then(|()| unsafe { result::free_sync(self.0) });
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated by us, in this context, and freed once; the streams were waited for.
        let _ = self.2.bind_to_thread().and_then(|()| unsafe { result::free_host(self.0.cast()) });
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _ = self.2.bind_to_thread().and_then(|()| {
            // SAFETY: both were made by us, in this context, and are destroyed once.
            unsafe { result::graph::exec_destroy(self.1).and(result::graph::destroy(self.0)) }
        });
    }
}

fn failed(reason: impl Into<String>) -> NetsError {
    NetsError::Device { device: "the CUDA device", reason: reason.into() }
}

fn driver(call: &'static str) -> impl Fn(DriverError) -> NetsError {
    move |error| failed(format!("{call}: {error:?}"))
}

/// What there is to say of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its architecture, as the compiler calls it, such as `sm_90`.
    pub architecture: String,
    /// Bytes of its memory that are free, and all.
    pub memory: (usize, usize),
    /// Its multiprocessors.
    pub multiprocessors: i32,
    /// The driver's version, as 13000.
    pub driver: i32,
}

/// A card's context.
///
/// # Errors
/// [`NetsError::NoCuda`] that says what is missing.
fn context(ordinal: usize) -> Result<Arc<CudaContext>, NetsError> {
    // SAFETY: looks whether the library can be opened; it is NVIDIA's.
    if !unsafe { sys::is_culib_present() } {
        return Err(NetsError::NoCuda { reason: "the driver's library libcuda was not found".to_owned() });
    }
    let version = driver_version();
    if version < OLDEST_DRIVER {
        let reason = format!(
            "the driver is of CUDA {}.{}, and 12.0 is the oldest that will do",
            version / 1000,
            version % 1000 / 10
        );
        return Err(NetsError::NoCuda { reason });
    }
    CudaContext::new(ordinal).map_err(|error| NetsError::NoCuda {
        reason: match ordinal {
            0 => format!("the driver finds no card ({error:?})"),
            _ => format!("the driver finds no card of number {ordinal}, counted from 0 ({error:?})"),
        },
    })
}

fn driver_version() -> i32 {
    let mut version = 0;
    // SAFETY: the library is there; the function writes one integer and needs no initialisation.
    let outcome = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    if outcome == sys::CUresult::CUDA_SUCCESS { version } else { 0 }
}

/// The card that a learner would take.
///
/// # Errors
/// [`NetsError::NoCuda`] where there is none.
pub fn card() -> Result<Card, NetsError> {
    card_of(&context(0)?)
}

/// How many cards this process sees.
///
/// # Errors
/// [`NetsError::NoCuda`] where there is none.
pub fn cards() -> Result<usize, NetsError> {
    context(0)?;
    Ok(CudaContext::device_count().map_err(driver("cuDeviceGetCount"))? as usize)
}

fn card_of(context: &Arc<CudaContext>) -> Result<Card, NetsError> {
    let (major, minor) = context.compute_capability().map_err(driver("cuDeviceGetAttribute"))?;
    let multiprocessors = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
    Ok(Card {
        name: context.name().map_err(driver("cuDeviceGetName"))?,
        architecture: format!("sm_{major}{minor}"),
        memory: context.mem_get_info().map_err(driver("cuMemGetInfo"))?,
        multiprocessors: context.attribute(multiprocessors).map_err(driver("cuDeviceGetAttribute"))?,
        driver: driver_version(),
    })
}

impl Cuda {
    /// The first card, with the kernels of `model`, compiled now or before.
    ///
    /// # Errors
    /// [`NetsError::NoCuda`] where there is no card or driver; [`NetsError::Device`] where the kernels cannot be compiled or
    /// loaded.
    pub fn new(model: &Model) -> Result<Self, NetsError> {
        Self::on(0, model)
    }

    /// The same of the card with this number, counted from 0.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on(ordinal: usize, model: &Model) -> Result<Self, NetsError> {
        let context = context(ordinal)?;
        let image = nvrtc::cubin(&model.source(), &card_of(&context)?.architecture)?;
        context.bind_to_thread().map_err(driver("cuCtxSetCurrent"))?;
        // SAFETY: a whole image in the compiler's own format, which the driver checks.
        let module = unsafe { result::module::load_data(image.as_ptr().cast()) };
        let module = Module(module.map_err(driver("cuModuleLoadData"))?, context.clone());
        let mut functions = Vec::new();
        for kernel in model.kernels() {
            let name = CString::new(kernel).map_err(|error| failed(error.to_string()))?;
            // SAFETY: the module was loaded above and stays loaded as long as the function is kept.
            let function = unsafe { result::module::get_function(module.0, name) };
            functions.push((kernel, function.map_err(driver("cuModuleGetFunction"))?));
        }
        let stream = || context.new_stream().map_err(driver("cuStreamCreate"));
        let (compute, copies) = (stream()?, stream()?);
        Ok(Self { prepared: None, meeting: None, functions, _module: module, compute, copies, context })
    }

    /// Joins the cards of other processes, each of which calls this with its own rank: what meets does so between cards from then
    /// on. Waits for all of them.
    ///
    /// # Errors
    /// [`NetsError::Device`] when NCCL cannot be loaded or does not reach the others.
    pub fn join(&mut self, place: &Place) -> Result<(), NetsError> {
        self.bind()?;
        self.meeting = Some(Meeting::join(place)?);
        Ok(())
    }

    fn bind(&self) -> Result<(), NetsError> {
        self.context.bind_to_thread().map_err(driver("cuCtxSetCurrent"))
    }

    fn wait(&self) -> Result<(), NetsError> {
        self.bind()?;
        self.copies.synchronize().map_err(driver("cuStreamSynchronize"))?;
        self.compute.synchronize().map_err(driver("cuStreamSynchronize"))
    }

    fn function(&self, kernel: &str) -> Result<sys::CUfunction, NetsError> {
        let found = self.functions.iter().find(|(name, _)| *name == kernel);
        found.map(|(_, function)| *function).ok_or_else(|| failed(format!("there is no kernel {kernel}")))
    }

    fn allocate(&self, words: usize) -> Result<Memory, NetsError> {
        // SAFETY: memory of the bound context, freed by its owner; it is set before it is read.
        unsafe {
            let pointer = result::malloc_sync(4 * words.max(1)).map_err(driver("cuMemAlloc"))?;
            let memory = Memory(pointer, self.context.clone());
            result::memset_d8_sync(pointer, 0, 4 * words).map_err(driver("cuMemsetD8"))?;
            Ok(memory)
        }
    }

    fn pin(&self, words: usize) -> Result<Pinned, NetsError> {
        // SAFETY: page-locked memory of the bound context, freed by its owner; it is set here.
        unsafe {
            let pointer = result::malloc_host(4 * words.max(1), 0).map_err(driver("cuMemHostAlloc"))?.cast::<u32>();
            pointer.write_bytes(0, words);
            Ok(Pinned(pointer, words, self.context.clone()))
        }
    }

    fn events(&self) -> Result<[CudaEvent; 2], NetsError> {
        let event = || self.context.new_event(None).map_err(driver("cuEventCreate"));
        Ok([event()?, event()?])
    }

    /// The launches of the list from `first` up to `end` as a graph: a node for each, its dependencies those of the graph that it must
    /// follow.
    fn graph(
        &self,
        list: &LaunchList,
        (first, end): (usize, usize),
        arenas: &Memory,
        batches: &Memory,
    ) -> Result<Graph, NetsError> {
        let (mut graph, mut nodes) = (ptr::null_mut(), Vec::<sys::CUgraphNode>::new());
        // SAFETY: a pointer to the handle that is written.
        unsafe { sys::cuGraphCreate(&raw mut graph, 0) }.result().map_err(driver("cuGraphCreate"))?;
        let mut owned = Graph(graph, ptr::null_mut(), self.context.clone());
        for launch in &list.launches[first..end] {
            let mut values = values(launch, list, arenas.0, batches.0);
            let mut parameters = pointers(&mut values);
            let after: Vec<sys::CUgraphNode> =
                launch.after.iter().filter(|&&before| before >= first).map(|&before| nodes[before - first]).collect();
            let node_parameters = sys::CUDA_KERNEL_NODE_PARAMS {
                func: self.function(launch.kernel)?,
                gridDimX: launch.grid[0],
                gridDimY: launch.grid[1],
                gridDimZ: launch.grid[2],
                blockDimX: launch.threads,
                blockDimY: 1,
                blockDimZ: 1,
                sharedMemBytes: 4 * launch.shared,
                kernelParams: parameters.as_mut_ptr(),
                extra: ptr::null_mut(),
                kern: ptr::null_mut(),
                ctx: ptr::null_mut(),
            };
            let mut node = ptr::null_mut();
            // SAFETY: the graph's own nodes as dependencies; the driver copies the arguments, of the kernel's types, at once.
            let added = unsafe {
                sys::cuGraphAddKernelNode_v2(
                    &raw mut node,
                    graph,
                    after.as_ptr(),
                    after.len(),
                    &raw const node_parameters,
                )
            };
            added.result().map_err(driver("cuGraphAddKernelNode"))?;
            nodes.push(node);
        }
        // SAFETY: a pointer to the handle that is written, and a whole graph.
        unsafe { sys::cuGraphInstantiateWithFlags(&raw mut owned.1, graph, 0) }
            .result()
            .map_err(driver("cuGraphInstantiate"))?;
        Ok(owned)
    }

    /// Lets the kernels have the shared memory that they ask for.
    fn allow_shared(&self, list: &LaunchList) -> Result<(), NetsError> {
        for launch in list.launches.iter().filter(|launch| 4 * launch.shared > SHARED_UNASKED) {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let function = self.function(launch.kernel)?;
            // SAFETY: a function of the loaded module.
            unsafe { result::function::set_function_attribute(function, attribute, 4 * launch.shared as i32) }
                .map_err(|error| {
                    failed(format!("{} needs {} bytes of shared memory: {error:?}", launch.kernel, 4 * launch.shared))
                })?;
        }
        Ok(())
    }
}

/// A launch's arguments as the driver reads them: pointers, or numbers in the first half of a word.
fn values(launch: &Launch, list: &LaunchList, arenas: sys::CUdeviceptr, batches: sys::CUdeviceptr) -> Vec<u64> {
    let word = |at: usize| 4 * at as u64;
    let value = |argument: &Argument| match argument {
        Argument::Read(name) | Argument::Write(name) => arenas + word(list.arena.get(name).at),
        Argument::Batch(name) => batches + word(list.batch.get(name).at),
        Argument::Arena => arenas,
        Argument::Batches => batches,
        Argument::Word(number) => u64::from(*number),
    };
    launch.arguments.iter().map(value).collect()
}

fn pointers(values: &mut [u64]) -> Vec<*mut c_void> {
    values.iter_mut().map(|value| ptr::from_mut(value).cast()).collect()
}

impl Device for Cuda {
    fn prepare(&mut self, list: &LaunchList) -> Result<(), NetsError> {
        self.wait()?;
        self.prepared = None;
        let slot = list.runs * list.batch.len();
        let (arenas, batches) = (self.allocate(list.runs * list.arena.len())?, self.allocate(2 * slot)?);
        self.allow_shared(list)?;
        let (end, middle) = (list.launches.len(), list.before_meeting().len());
        let conclusion = list.meeting.map(|first| self.graph(list, (first, end), &arenas, &batches));
        self.prepared = Some(Prepared {
            graph: self.graph(list, (0, middle), &arenas, &batches)?,
            conclusion: conclusion.transpose()?,
            list: list.clone(),
            arenas,
            batches,
            staged: [self.pin(slot)?, self.pin(slot)?],
            copied: self.events()?,
            launched: self.events()?,
        });
        Ok(())
    }

    fn write(&mut self, at: usize, words: &[u32]) -> Result<(), NetsError> {
        self.wait()?;
        let prepared = prepared(self.prepared.as_ref())?;
        prepared.check(at, words.len());
        // SAFETY: inside the allocation, as checked; the copy ends before the call does.
        unsafe { result::memcpy_htod_sync(prepared.arenas.0 + 4 * at as u64, words) }.map_err(driver("cuMemcpyHtoD"))
    }

    fn read(&mut self, at: usize, words: &mut [u32]) -> Result<(), NetsError> {
        self.wait()?;
        let prepared = prepared(self.prepared.as_ref())?;
        prepared.check(at, words.len());
        // SAFETY: inside the allocation, as checked; the copy ends before the call does.
        unsafe { result::memcpy_dtoh_sync(words, prepared.arenas.0 + 4 * at as u64) }.map_err(driver("cuMemcpyDtoH"))
    }

    fn staging(&mut self, slot: usize) -> Result<&mut [u32], NetsError> {
        self.bind()?;
        let prepared = self.prepared.as_mut().ok_or_else(|| failed("nothing was prepared"))?;
        prepared.copied[slot].synchronize().map_err(driver("cuEventSynchronize"))?;
        let Pinned(pointer, len, _) = prepared.staged[slot];
        // SAFETY: as many words as were allocated and set; no copy reads them, for the last one has ended; borrowed with `self`.
        Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
    }

    fn launch(&mut self, slot: usize) -> Result<(), NetsError> {
        self.bind()?;
        let Self { compute, copies, .. } = &*self;
        let prepared = prepared(self.prepared.as_ref())?;
        let Pinned(pointer, len, _) = prepared.staged[slot];
        copies.wait(&prepared.launched[slot]).map_err(driver("cuStreamWaitEvent"))?;
        let to = prepared.batches.0 + (4 * slot * len) as u64;
        // SAFETY: pinned memory of `len` words into a slot of as many; it is not written before `copied` says that the copy ended.
        let copied =
            unsafe { result::memcpy_htod_async(to, std::slice::from_raw_parts(pointer, len), copies.cu_stream()) };
        copied.map_err(driver("cuMemcpyHtoDAsync"))?;
        prepared.copied[slot].record(copies).map_err(driver("cuEventRecord"))?;
        compute.wait(&prepared.copied[slot]).map_err(driver("cuStreamWaitEvent"))?;
        // SAFETY: the graph's memory lives as long as the graph, in `prepared`, which waits before it goes.
        unsafe { result::graph::launch(prepared.graph.1, compute.cu_stream()) }.map_err(driver("cuGraphLaunch"))?;
        prepared.launched[slot].record(compute).map_err(driver("cuEventRecord"))
    }

    fn meet(&mut self, at: usize, len: usize, workers: &mut dyn GradientReducer) -> Result<(), NetsError> {
        let Some(meeting) = &self.meeting else {
            return meet_on_host(self, at, len, workers);
        };
        self.bind()?;
        let prepared = prepared(self.prepared.as_ref())?;
        prepared.check(at, len);
        // SAFETY: numbers inside the allocation, as checked, which lives as long as `prepared`; whatever frees it waits for the stream.
        unsafe { meeting.mean(prepared.arenas.0 + 4 * at as u64, len, &self.compute) }
    }

    fn conclude(&mut self, slot: usize) -> Result<(), NetsError> {
        self.bind()?;
        let prepared = prepared(self.prepared.as_ref())?;
        let Some(conclusion) = &prepared.conclusion else { return Ok(()) };
        // SAFETY: as in `launch`.
        unsafe { result::graph::launch(conclusion.1, self.compute.cu_stream()) }.map_err(driver("cuGraphLaunch"))?;
        prepared.launched[slot].record(&self.compute).map_err(driver("cuEventRecord"))
    }

    fn time(&mut self, rounds: usize) -> Result<Option<Vec<f64>>, NetsError> {
        self.wait()?;
        let prepared = prepared(self.prepared.as_ref())?;
        let timed = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let mut seconds = vec![0.0; prepared.list.launches.len()];
        for _ in 0..rounds {
            for (launch, seconds) in prepared.list.launches.iter().zip(&mut seconds) {
                let mut values = values(launch, &prepared.list, prepared.arenas.0, prepared.batches.0);
                let [x, y, z] = launch.grid;
                let begin = self.compute.record_event(timed).map_err(driver("cuEventRecord"))?;
                // SAFETY: as in the graph, whose launches these are, one after another.
                let launched = unsafe {
                    let (blocks, threads) = ((x, y, z), (launch.threads, 1, 1));
                    let function = self.function(launch.kernel)?;
                    let stream = self.compute.cu_stream();
                    result::launch_kernel(
                        function,
                        blocks,
                        threads,
                        4 * launch.shared,
                        stream,
                        &mut pointers(&mut values),
                    )
                };
                launched.map_err(driver("cuLaunchKernel"))?;
                let end = self.compute.record_event(timed).map_err(driver("cuEventRecord"))?;
                end.synchronize().map_err(driver("cuEventSynchronize"))?;
                *seconds += f64::from(begin.elapsed_ms(&end).map_err(driver("cuEventElapsedTime"))?) / 1e3;
            }
        }
        for seconds in &mut seconds {
            *seconds /= rounds as f64;
        }
        Ok(Some(seconds))
    }
}

fn prepared(prepared: Option<&Prepared>) -> Result<&Prepared, NetsError> {
    prepared.ok_or_else(|| failed("nothing was prepared"))
}

impl Prepared {
    /// # Panics
    /// If the words lie outside the arenas.
    fn check(&self, at: usize, words: usize) {
        assert!(at + words <= self.list.runs * self.list.arena.len(), "words of the arenas");
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Pinned memory must not be freed under a copy.
        let _ = self.wait();
    }
}
