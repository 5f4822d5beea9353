/* Data in the plane without a density to write down: rings, moons, checkerboard, spiral, pinwheel, swiss_roll. */
#ifndef TB_DIFFUSION_SHAPES_H
#define TB_DIFFUSION_SHAPES_H

#include <tiebreak/random.h>

typedef struct tb_shape {
  const char *name, *summary;
  void (*point)(const double uniform[2], const double normal[2], double x[2]);
} tb_shape;

/* The table, ended by NULL, and its names as choices: "rings|moons|…". */
const tb_shape *const *tb_shapes(void);
const tb_shape *tb_shape_find(const char *name);
#define TB_SHAPE_NAMES "rings|moons|checkerboard|spiral|pinwheel|swiss_roll"

/* x[n,2]: draws `first`, `first` + 1, … */
void tb_shape_draw(const tb_shape *, tb_key, uint64_t first, size_t n, double *x);

#endif
