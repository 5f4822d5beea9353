/* Noising processes against the equations of their moments, integrated by plain Runge-Kutta steps. */
#include "testing.h"

#include <math.h>

#include "diffusion/process.h"

static tb_context *context;

static int set_up(void **state) {
  context = tb_context_new(NULL, NULL);
  return context ? 0 : -1;
}

static int tear_down(void **state) {
  tb_context_free(context);
  return 0;
}

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
    fail_msg("%.17g instead of %.17g", got, want);
}

static const tb_process processes[] = {
  { TB_PROCESS_VP, 0.5, 0.1, 20, 1 },     { TB_PROCESS_VP, 1, 1, 1, 3 },           { TB_PROCESS_VP, 1, 0.1, 20, 1 },
  { TB_PROCESS_SUBVP, 0.5, 0.1, 20, 1 },  { TB_PROCESS_VE, 0.5, 0.01, 50, 1 },     { TB_PROCESS_VE, 0.5, 0.1, 3, 2 },
  { TB_PROCESS_PINNED, 0.5, 0.1, 20, 1 }, { TB_PROCESS_PINNED, 0.5, 0.2, 0.2, 5 },
};
enum { PROCESSES = sizeof processes / sizeof *processes };

/* ṁ = f m, v̇ = 2 f v + g² */
static void slopes(const tb_process *p, double t, const double y[2], double dy[2]) {
  const tb_noising at = tb_process_at(p, t);
  dy[0] = at.drift * y[0];
  dy[1] = 2 * at.drift * y[1] + at.diffusion;
}

static void moments_obey_the_equation(void **state) {
  enum { STEPS = 4000 };
  for (size_t i = 0; i < PROCESSES; i++) {
    const tb_process *p = &processes[i];
    const double end = 0.8 * p->end, h = end / STEPS;
    double y[2] = { 1, 0 }, k[4][2], z[2];
    for (int n = 0; n < STEPS; n++) {
      slopes(p, n * h, y, k[0]);
      for (int s = 1; s < 4; s++) {
        for (int j = 0; j < 2; j++)
          z[j] = y[j] + (s == 3 ? h : h / 2) * k[s - 1][j];
        slopes(p, n * h + (s == 3 ? h : h / 2), z, k[s]);
      }
      for (int j = 0; j < 2; j++)
        y[j] += h / 6 * (k[0][j] + 2 * k[1][j] + 2 * k[2][j] + k[3][j]);
    }
    const tb_noising at = tb_process_at(p, end);
    near(at.alpha, y[0], 1e-9);
    near(at.sigma * at.sigma, y[1], 1e-9);
  }
}

static void diffusion_is_the_slope_of_lambda(void **state) {
  for (size_t i = 0; i < PROCESSES; i++)
    for (double part = 0.1; part < 0.95; part += 0.2) {
      const tb_process *p = &processes[i];
      const double t = part * p->end, h = 1e-5 * t;
      const tb_noising at = tb_process_at(p, t), low = tb_process_at(p, t - h), high = tb_process_at(p, t + h);
      const double slope = (tb_noising_log_ratio(&high) - tb_noising_log_ratio(&low)) / (2 * h);
      near(-2 * at.sigma * at.sigma * slope / at.diffusion, 1, 1e-7);
    }
}

static void known_values(void **state) {
  /* paper's process at beta 1: e^{−t}, 1 − e^{−2t}; variance-preserving at T = 1: α = e^{−5.025} */
  const tb_noising ou = tb_process_at(&processes[1], 0.3), vp = tb_process_at(&processes[0], 1);
  near(ou.alpha, exp(-0.3), 1e-15);
  near(ou.sigma * ou.sigma, 1 - exp(-0.6), 1e-15);
  near(vp.alpha, exp(-0.25 * 19.9 - 0.05), 1e-14);
  /* the bridge with clock 0.2 t on [0, 5]: (1 − t/5) x, 0.2 t (1 − t/5) */
  const tb_noising bridge = tb_process_at(&processes[7], 2);
  near(bridge.alpha, 0.6, 1e-14);
  near(bridge.sigma * bridge.sigma, 0.24, 1e-14);
  const tb_noising tied = tb_process_at(&processes[6], 1), start = tb_process_at(&processes[6], 0);
  assert_true(tied.alpha == 0 && tied.sigma == 0 && start.alpha == 1 && start.sigma == 0);
}

static void times_of_ratios(void **state) {
  for (size_t i = 0; i < PROCESSES; i++)
    for (double part = 1e-5; part < 1; part *= 3) {
      const tb_process *p = &processes[i];
      const tb_noising at = tb_process_at(p, part * p->end);
      near(tb_process_time_of(p, tb_noising_log_ratio(&at)) / at.t, 1, 1e-9);
    }
  assert_true(tb_process_time_of(&processes[0], INFINITY) == 0);
}

static void grids_descend(void **state) {
  double times[18];
  for (size_t i = 0; i < PROCESSES; i++)
    for (int grid = TB_GRID_UNIFORM; grid <= TB_GRID_KARRAS; grid++) {
      const tb_process *p = &processes[i];
      tb_process_grid(p, (tb_time_grid)grid, 0.99 * p->end, 1e-3 * p->end, 17, times);
      assert_true(times[0] == 0.99 * p->end && times[17] == 1e-3 * p->end);
      for (int k = 0; k < 17; k++)
        assert_true(times[k] > times[k + 1]);
    }
}

static void graphs_agree(void **state) {
  enum { TIMES = 6 };
  for (size_t i = 0; i < PROCESSES; i++) {
    const tb_process *p = &processes[i];
    double t[TIMES], alpha[TIMES], sigma[TIMES];
    for (int k = 0; k < TIMES; k++)
      t[k] = p->end * (1e-5 + 0.19 * k);
    tb_graph *g;
    tb_program *program;
    assert_int_equal(tb_graph_new(context, &g), TB_OK);
    const tb_value times = tb_input(g, "t", TB_FLOAT64, 1, (size_t[]){ TIMES });
    tb_value outputs[2];
    tb_process_build(g, p, times, &outputs[0], &outputs[1]);
    assert_int_equal(tb_program_new(context, g, 2, outputs, NULL, &program), TB_OK);
    assert_int_equal(tb_program_run(program, 1, (const void *[]){ t }, 2, (void *[]){ alpha, sigma }), TB_OK);
    for (int k = 0; k < TIMES; k++) {
      const tb_noising at = tb_process_at(p, t[k]);
      near(alpha[k] / at.alpha, 1, 1e-13);
      near(sigma[k] / at.sigma, 1, 1e-13);
    }
    tb_program_free(program);
    tb_graph_free(g);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(moments_obey_the_equation),
    cmocka_unit_test(diffusion_is_the_slope_of_lambda),
    cmocka_unit_test(known_values),
    cmocka_unit_test(times_of_ratios),
    cmocka_unit_test(grids_descend),
    cmocka_unit_test_setup_teardown(graphs_agree, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
