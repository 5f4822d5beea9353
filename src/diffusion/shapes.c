/* The shapes of shapes.h, as the literature on generative models has them: one function a shape, two uniforms to place
 * a point and two normals to shake it. */
#include "diffusion/shapes.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* The k-th of `count` equal parts of [0, 1) that u lies in; u is stretched to [0, 1) again. */
static int part_of(double *u, int count) {
  const int k = (int)(*u * count);
  *u = *u * count - k;
  return k;
}

static void rings(const double uniform[2], const double normal[2], double x[2]) {
  static const double shake = 0.05;
  const double radius = 0.5 * (1 + (int)(3 * uniform[0])), angle = 2 * pi * uniform[1];
  x[0] = radius * cos(angle) + shake * normal[0];
  x[1] = radius * sin(angle) + shake * normal[1];
}

static void moons(const double uniform[2], const double normal[2], double x[2]) {
  static const double shake = 0.08;
  const double angle = pi * uniform[1];
  const int lower = uniform[0] < 0.5;
  x[0] = (lower ? 1 - cos(angle) : cos(angle)) - 0.5 + shake * normal[0];
  x[1] = (lower ? 0.5 - sin(angle) : sin(angle)) - 0.25 + shake * normal[1];
}

/* Eight squares of side 1 on [−2, 2]². */
static void checkerboard(const double uniform[2], const double normal[2], double x[2]) {
  double u = uniform[0];
  const int column = part_of(&u, 4);
  double v = uniform[1];
  const int row = 2 * part_of(&v, 2) + column % 2;
  x[0] = column - 2 + u;
  x[1] = row - 2 + v;
}

static void spiral(const double uniform[2], const double normal[2], double x[2]) {
  static const double shake = 0.03;
  double u = uniform[0];
  const double side = part_of(&u, 2) ? 1 : -1, turn = 3 * pi * sqrt(u);
  x[0] = side * turn * cos(turn) / (2 * pi) + shake * normal[0];
  x[1] = side * turn * sin(turn) / (2 * pi) + shake * normal[1];
}

static void pinwheel(const double uniform[2], const double normal[2], double x[2]) {
  double u = uniform[0];
  const int arm = part_of(&u, 5);
  const double along = 1 + 0.3 * normal[0], across = 0.1 * normal[1];
  const double angle = 2 * pi * arm / 5 + 0.25 * exp(along);
  x[0] = along * cos(angle) - across * sin(angle);
  x[1] = along * sin(angle) + across * cos(angle);
}

static void swiss_roll(const double uniform[2], const double normal[2], double x[2]) {
  const double turn = 1.5 * pi * (1 + 2 * uniform[0]);
  x[0] = (turn * cos(turn) + normal[0]) / 7.5;
  x[1] = (turn * sin(turn) + normal[1]) / 7.5;
}

static const tb_shape table[] = {
  { "rings", "three circles of radius 0.5, 1 and 1.5", rings },
  { "moons", "two half circles that reach into each other", moons },
  { "checkerboard", "eight squares of a board of sixteen", checkerboard },
  { "spiral", "two arms", spiral },
  { "pinwheel", "five bent Gaussians", pinwheel },
  { "swiss_roll", "one arm, thickened", swiss_roll },
};
enum { COUNT = sizeof table / sizeof *table };
static const tb_shape *const shapes[COUNT + 1] = { &table[0], &table[1], &table[2], &table[3],
                                                   &table[4], &table[5], NULL };

const tb_shape *const *tb_shapes(void) {
  return shapes;
}

const tb_shape *tb_shape_find(const char *name) {
  for (size_t i = 0; i < COUNT; i++)
    if (strcmp(table[i].name, name) == 0)
      return &table[i];
  return NULL;
}

void tb_shape_draw(const tb_shape *shape, tb_key key, uint64_t first, size_t n, double *x) {
  const tb_key places = { key.seed, key.step, tb_use("places of a shape") };
  const tb_key shakes = { key.seed, key.step, tb_use("shakes of a shape") };
  for (size_t i = 0; i < n; i++) {
    double uniform[2], normal[2];
    tb_random_uniform(places, 2 * (first + i), 2, uniform);
    tb_random_normal(shakes, 2 * (first + i), 2, normal);
    shape->point(uniform, normal, x + 2 * i);
  }
}
