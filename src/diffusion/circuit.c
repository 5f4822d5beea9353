/* The circuits of circuit.h: one growing array of gates. */
#include "diffusion/circuit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct gate {
  tb_gate kind;
  tb_wire a, b;
  double constant;
} gate;

struct tb_circuit {
  tb_context *context;
  gate *gates;
  size_t count, room;
  bool failed;
};

tb_circuit *tb_circuit_new(tb_context *context) {
  tb_circuit *c = tb_allocate(context, 1, sizeof *c);
  if (c)
    c->context = context;
  return c;
}

void tb_circuit_free(tb_circuit *c) {
  if (!c)
    return;
  tb_release(c->context, c->gates);
  tb_release(c->context, c);
}

tb_status tb_circuit_status(const tb_circuit *c) {
  return c->failed ? TB_NO_MEMORY : TB_OK;
}

static tb_wire append(tb_circuit *c, gate g) {
  if (c->count == c->room && !c->failed) {
    const size_t room = c->room ? 2 * c->room : 1024;
    gate *gates = room > UINT32_MAX ? NULL : tb_reallocate(c->context, c->gates, room, sizeof *gates);
    c->failed = !gates;
    if (gates) {
      c->gates = gates;
      c->room = room;
    }
  }
  if (c->failed)
    return 0;
  c->gates[c->count] = g;
  return (tb_wire)c->count++;
}

tb_wire tb_circuit_input(tb_circuit *c) {
  return append(c, (gate){ .kind = TB_GATE_INPUT });
}

tb_wire tb_circuit_constant(tb_circuit *c, double value) {
  return append(c, (gate){ .kind = TB_GATE_CONSTANT, .constant = value });
}

tb_wire tb_circuit_add(tb_circuit *c, tb_wire a, tb_wire b) {
  return append(c, (gate){ .kind = TB_GATE_ADD, .a = a, .b = b });
}

tb_wire tb_circuit_multiply(tb_circuit *c, tb_wire a, tb_wire b) {
  return append(c, (gate){ .kind = TB_GATE_MULTIPLY, .a = a, .b = b });
}

tb_wire tb_circuit_apply(tb_circuit *c, tb_gate kind, tb_wire a) {
  return append(c, (gate){ .kind = kind, .a = a });
}

tb_wire tb_circuit_scale(tb_circuit *c, double factor, tb_wire a) {
  return factor == 1 ? a : tb_circuit_multiply(c, tb_circuit_constant(c, factor), a);
}

tb_wire tb_circuit_shift(tb_circuit *c, double offset, tb_wire a) {
  return offset == 0 ? a : tb_circuit_add(c, tb_circuit_constant(c, offset), a);
}

/* ---- differentiation ---- */

/* Adjoints by wire; NONE: nothing has arrived. */
enum { NONE = UINT32_MAX };

static void arrive(tb_circuit *c, tb_wire *adjoint, const bool *active, tb_wire at, tb_wire amount) {
  if (active[at])
    adjoint[at] = adjoint[at] == NONE ? amount : tb_circuit_add(c, adjoint[at], amount);
}

/* What gate g with adjoint `bar` sends to its operands. */
static void send_back(tb_circuit *c, tb_wire *adjoint, const bool *active, tb_wire at, tb_wire bar) {
  const gate g = c->gates[at];
  switch (g.kind) {
  case TB_GATE_ADD:
    arrive(c, adjoint, active, g.a, bar);
    arrive(c, adjoint, active, g.b, bar);
    break;
  case TB_GATE_MULTIPLY:
    if (active[g.a])
      arrive(c, adjoint, active, g.a, tb_circuit_multiply(c, bar, g.b));
    if (active[g.b])
      arrive(c, adjoint, active, g.b, tb_circuit_multiply(c, bar, g.a));
    break;
  case TB_GATE_EXP:
    arrive(c, adjoint, active, g.a, tb_circuit_multiply(c, bar, at));
    break;
  case TB_GATE_SIN:
    arrive(c, adjoint, active, g.a, tb_circuit_multiply(c, bar, tb_circuit_apply(c, TB_GATE_COS, g.a)));
    break;
  case TB_GATE_COS:
    arrive(c, adjoint, active, g.a,
           tb_circuit_multiply(c, bar, tb_circuit_scale(c, -1, tb_circuit_apply(c, TB_GATE_SIN, g.a))));
    break;
  default:
    break;
  }
}

void tb_circuit_gradient(tb_circuit *c, tb_wire y, size_t count, const tb_wire *inputs, tb_wire *out) {
  if (c->failed)
    return;
  const size_t n = (size_t)y + 1;
  tb_wire *adjoint = tb_allocate(c->context, n, sizeof *adjoint);
  bool *active = tb_allocate(c->context, n, sizeof *active);
  c->failed = !adjoint || !active;
  if (!c->failed) {
    for (size_t i = 0; i < n; i++)
      adjoint[i] = NONE;
    for (size_t i = 0; i < count; i++)
      active[inputs[i]] = true;
    for (size_t i = 0; i < n; i++) {
      const gate g = c->gates[i];
      if (g.kind != TB_GATE_INPUT && g.kind != TB_GATE_CONSTANT)
        active[i] = active[g.a] || ((g.kind == TB_GATE_ADD || g.kind == TB_GATE_MULTIPLY) && active[g.b]);
    }
    if (active[y])
      adjoint[y] = tb_circuit_constant(c, 1);
    for (size_t i = n; i-- > 0;)
      if (adjoint[i] != NONE)
        send_back(c, adjoint, active, (tb_wire)i, adjoint[i]);
    for (size_t i = 0; i < count; i++)
      out[i] = adjoint[inputs[i]] == NONE ? tb_circuit_constant(c, 0) : adjoint[inputs[i]];
  }
  tb_release(c->context, adjoint);
  tb_release(c->context, active);
}

tb_wire tb_circuit_piecewise(tb_circuit *c, tb_wire a, size_t knots, const double *at, const double *values) {
  tb_wire sum = tb_circuit_constant(c, values[0]);
  double before = 0; /* slope left of knot k */
  for (size_t k = 0; k < knots; k++) {
    const double slope = k + 1 < knots ? (values[k + 1] - values[k]) / (at[k + 1] - at[k]) : 0;
    const tb_wire hinge = tb_circuit_apply(c, TB_GATE_RELU, tb_circuit_shift(c, -at[k], a));
    sum = tb_circuit_add(c, sum, tb_circuit_scale(c, slope - before, hinge));
    before = slope;
  }
  return sum;
}

/* ---- size ---- */

size_t tb_circuit_nodes(const tb_circuit *c) {
  size_t nodes = 0;
  for (size_t i = 0; i < c->count; i++)
    nodes += c->gates[i].kind != TB_GATE_CONSTANT;
  return nodes;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

size_t tb_circuit_parameters(const tb_circuit *c) {
  double *values = tb_allocate(c->context, c->count + 1, sizeof *values);
  size_t count = 0, distinct = 0;
  if (!values)
    return SIZE_MAX;
  for (size_t i = 0; i < c->count; i++)
    if (c->gates[i].kind == TB_GATE_CONSTANT)
      values[count++] = c->gates[i].constant;
  qsort(values, count, sizeof *values, compare);
  for (size_t i = 0; i < count; i++)
    distinct += i == 0 || values[i] != values[i - 1];
  tb_release(c->context, values);
  return distinct;
}

/* ---- evaluation ---- */

static double compute(const gate *g, const double *v) {
  switch (g->kind) {
  case TB_GATE_CONSTANT:
    return g->constant;
  case TB_GATE_ADD:
    return v[g->a] + v[g->b];
  case TB_GATE_MULTIPLY:
    return v[g->a] * v[g->b];
  case TB_GATE_EXP:
    return exp(v[g->a]);
  case TB_GATE_SQRT:
    return sqrt(v[g->a]);
  case TB_GATE_SIN:
    return sin(v[g->a]);
  case TB_GATE_COS:
    return cos(v[g->a]);
  case TB_GATE_RECIPROCAL:
    return 1 / v[g->a];
  case TB_GATE_RELU:
    return v[g->a] > 0 ? v[g->a] : 0;
  default:
    return NAN;
  }
}

tb_status tb_circuit_evaluate(const tb_circuit *c, const double *in, size_t count, const tb_wire *wires, double *out) {
  double *v = c->failed ? NULL : tb_allocate(c->context, c->count + 1, sizeof *v);
  if (!v)
    return TB_NO_MEMORY;
  for (size_t i = 0; i < c->count; i++)
    v[i] = c->gates[i].kind == TB_GATE_INPUT ? *in++ : compute(&c->gates[i], v);
  for (size_t i = 0; i < count; i++)
    out[i] = v[wires[i]];
  tb_release(c->context, v);
  return TB_OK;
}
