//! Functions of `wasi:http` in the place of Wasmtime's, which keep texts of any length and the options of each request
//! for as long as the lane lives.

use super::state::State;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{self, Host as _, HostOutgoingRequest as _};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{RequestOptions, WasiHttpView};

/// The longest name of an HTTP method.
const METHOD: usize = 32;
/// The longest host with its port: a name has at most 253 bytes.
const AUTHORITY: usize = 512;
/// The longest path with its query: more than servers take.
const PATH: usize = 32 << 10;

type Set = Result<(), ()>;

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, State>, (request, method): (Resource<HostOutgoingRequest>, types::Method)| {
            let long = matches!(&method, types::Method::Other(name) if name.len() > METHOD);
            let set = || store.data_mut().http().set_method(request, method);
            Ok((if long { Err(()) } else { set()? },))
        },
    )?;
    text(
        &mut types,
        "[method]outgoing-request.set-authority",
        AUTHORITY,
        |state, request, text| state.http().set_authority(request, text),
    )?;
    text(
        &mut types,
        "[method]outgoing-request.set-path-with-query",
        PATH,
        |state, request, text| state.http().set_path_with_query(request, text),
    )?;
    let mut handler = linker.instance("wasi:http/outgoing-handler@0.2.12")?;
    handler.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>,
         (request, options): (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>)| {
            let mut http = store.data_mut().http();
            let given = options.as_ref().map(Resource::rep);
            let sent = http.handle(request, options);
            if let Some(given) = given {
                http.table.delete(Resource::<RequestOptions>::new_own(given))?;
            }
            match sent {
                Ok(future) => Ok((Ok(future),)),
                Err(error) => Ok((Err(http.convert_error_code(error)?),)),
            }
        },
    )
}

/// A function that sets a text of a request, of at most `longest` bytes.
fn text(
    types: &mut wasmtime::component::LinkerInstance<'_, State>,
    name: &str,
    longest: usize,
    set: fn(&mut State, Resource<HostOutgoingRequest>, Option<String>) -> wasmtime::Result<Set>,
) -> wasmtime::Result<()> {
    types.func_wrap(
        name,
        move |mut store: StoreContextMut<'_, State>,
              (request, text): (Resource<HostOutgoingRequest>, Option<String>)| {
            let long = text.as_ref().is_some_and(|text| text.len() > longest);
            Ok((if long {
                Err(())
            } else {
                set(store.data_mut(), request, text)?
            },))
        },
    )
}
