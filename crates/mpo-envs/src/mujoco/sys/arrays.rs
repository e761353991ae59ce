//! Views of the arrays of a model and its data. Each is named as in MuJoCo's documentation; arrays of vectors are
//! slices of fixed-size rows, e.g. `xmat()[body]` is the 3x3 rotation matrix of a body, row by row.

use std::ptr::NonNull;

use super::simulation::Simulation;

/// # Safety
///
/// `pointer` is null, or points to `rows` consecutive valid values of type `T` that live and stay unwritten for `'a`.
unsafe fn rows<'a, T>(pointer: *const T, rows: usize) -> &'a [T] {
    let pointer = NonNull::new(pointer.cast_mut()).unwrap_or(NonNull::dangling());
    // SAFETY: by the caller's promise; a null pointer belongs to an array of length zero.
    unsafe { std::slice::from_raw_parts(pointer.as_ptr(), rows) }
}

/// # Safety
///
/// As for [`rows`], and the values are borrowed exclusively.
unsafe fn rows_mut<'a, T>(pointer: *mut T, rows: usize) -> &'a mut [T] {
    let pointer = NonNull::new(pointer).unwrap_or(NonNull::dangling());
    // SAFETY: by the caller's promise; a null pointer belongs to an array of length zero.
    unsafe { std::slice::from_raw_parts_mut(pointer.as_ptr(), rows) }
}

macro_rules! read {
    ($($owner:ident.$name:ident: [$row:ty; $count:ident];)*) => {
        impl Simulation {
            $(
                #[doc = concat!("`", stringify!($name), "`: one row for each of `", stringify!($count), "`.")]
                #[must_use]
                pub fn $name(&self) -> &[$row] {
                    // SAFETY: MuJoCo allocates this array with as many rows as the model says, each of this size;
                    // they are written only through `&mut self`.
                    unsafe { rows(self.$owner().$name.cast::<$row>(), self.model().$count as usize) }
                }
            )*
        }
    };
}

macro_rules! write {
    ($($owner:ident.$name:ident as $method:ident: [$row:ty; $count:ident];)*) => {
        impl Simulation {
            $(
                #[doc = concat!("`", stringify!($name), "`, to be written.")]
                pub fn $method(&mut self) -> &mut [$row] {
                    let count = self.model().$count as usize;
                    // SAFETY: as for reading, and `self` is borrowed exclusively. The arrays hold plain numbers, no
                    // indices, so that no value written can make MuJoCo read outside its memory.
                    unsafe { rows_mut(self.$owner().$name.cast::<$row>(), count) }
                }
            )*
        }
    };
}

read! {
    data.qpos: [f64; nq];
    data.qvel: [f64; nv];
    data.ctrl: [f64; nu];
    data.sensordata: [f64; nsensordata];
    data.xpos: [[f64; 3]; nbody];
    data.xquat: [[f64; 4]; nbody];
    data.xmat: [[f64; 9]; nbody];
    data.xipos: [[f64; 3]; nbody];
    data.xanchor: [[f64; 3]; njnt];
    data.geom_xpos: [[f64; 3]; ngeom];
    data.geom_xmat: [[f64; 9]; ngeom];
    data.site_xpos: [[f64; 3]; nsite];
    data.site_xmat: [[f64; 9]; nsite];
    model.jnt_type: [i32; njnt];
    model.jnt_limited: [bool; njnt];
    model.jnt_range: [[f64; 2]; njnt];
    model.jnt_qposadr: [i32; njnt];
    model.jnt_dofadr: [i32; njnt];
    model.geom_size: [[f64; 3]; ngeom];
    model.site_size: [[f64; 3]; nsite];
    model.sensor_adr: [i32; nsensor];
    model.sensor_dim: [i32; nsensor];
    model.sensor_objtype: [i32; nsensor];
    model.sensor_reftype: [i32; nsensor];
    model.names: [u8; nnames];
    model.name_bodyadr: [i32; nbody];
    model.name_jntadr: [i32; njnt];
    model.name_geomadr: [i32; ngeom];
    model.name_siteadr: [i32; nsite];
    model.name_sensoradr: [i32; nsensor];
    model.actuator_ctrllimited: [bool; nu];
    model.actuator_ctrlrange: [[f64; 2]; nu];
}

write! {
    data_mut.qpos as qpos_mut: [f64; nq];
    data_mut.qvel as qvel_mut: [f64; nv];
    data_mut.ctrl as ctrl_mut: [f64; nu];
    model_mut.geom_size as geom_size_mut: [[f64; 3]; ngeom];
    model_mut.geom_pos as geom_pos_mut: [[f64; 3]; ngeom];
    model_mut.site_size as site_size_mut: [[f64; 3]; nsite];
    model_mut.site_pos as site_pos_mut: [[f64; 3]; nsite];
    model_mut.body_pos as body_pos_mut: [[f64; 3]; nbody];
    model_mut.body_quat as body_quat_mut: [[f64; 4]; nbody];
    model_mut.dof_damping as dof_damping_mut: [f64; nv];
    model_mut.geom_rbound as geom_rbound_mut: [f64; ngeom];
    model_mut.geom_aabb as geom_aabb_mut: [[f64; 6]; ngeom];
    model_mut.bvh_aabb as bvh_aabb_mut: [[f64; 6]; nbvh];
    model_mut.geom_rgba as geom_rgba_mut: [[f32; 4]; ngeom];
    model_mut.site_rgba as site_rgba_mut: [[f32; 4]; nsite];
}

impl Simulation {
    /// `light_pos`, to be written: one row for each light, which only pictures show.
    pub fn light_pos_mut(&mut self) -> &mut [[f64; 3]] {
        let [_, lights] = self.sights;
        // SAFETY: as above, with the number of lights that MuJoCo allocated for, some of which may be hidden.
        unsafe { rows_mut(self.model_mut().light_pos.cast(), lights as usize) }
    }
}

read! {
    model.geom_pos: [[f64; 3]; ngeom];
    model.site_pos: [[f64; 3]; nsite];
    model.body_pos: [[f64; 3]; nbody];
    model.body_quat: [[f64; 4]; nbody];
    model.body_mass: [f64; nbody];
    model.body_weldid: [i32; nbody];
    model.body_bvhadr: [i32; nbody];
    model.geom_bodyid: [i32; ngeom];
    model.dof_damping: [f64; nv];
}
