/* A circuit: scalar gates in the order in which they are evaluated, each of at most two earlier ones.
 *
 * This is the network of an expressiveness theorem taken literally, so that its size is counted and not estimated:
 * nodes are inputs and gates, parameters the distinct real constants.  Reverse-mode differentiation appends gates (the
 * cheap gradient principle: a constant factor more), and piecewise linear functions are sums of ReLU gates. */
#ifndef TB_DIFFUSION_CIRCUIT_H
#define TB_DIFFUSION_CIRCUIT_H

#include <tiebreak/base.h>

typedef enum tb_gate {
  TB_GATE_INPUT,
  TB_GATE_CONSTANT,
  TB_GATE_ADD,
  TB_GATE_MULTIPLY,
  TB_GATE_EXP,
  TB_GATE_SQRT,
  TB_GATE_SIN,
  TB_GATE_COS,
  TB_GATE_RECIPROCAL,
  TB_GATE_RELU
} tb_gate;

typedef struct tb_circuit tb_circuit;
typedef uint32_t tb_wire; /* number of a gate */

/* A failed growth is remembered: later calls do nothing, tb_circuit_status tells. */
tb_circuit *tb_circuit_new(tb_context *); /* NULL: no memory, failure recorded */
void tb_circuit_free(tb_circuit *);       /* NULL is allowed */
tb_status tb_circuit_status(const tb_circuit *);

tb_wire tb_circuit_input(tb_circuit *);
tb_wire tb_circuit_constant(tb_circuit *, double value);
tb_wire tb_circuit_add(tb_circuit *, tb_wire a, tb_wire b);
tb_wire tb_circuit_multiply(tb_circuit *, tb_wire a, tb_wire b);
tb_wire tb_circuit_apply(tb_circuit *, tb_gate, tb_wire a); /* a gate of one operand */
tb_wire tb_circuit_scale(tb_circuit *, double factor, tb_wire a);
tb_wire tb_circuit_shift(tb_circuit *, double offset, tb_wire a);

/* out[i] = ∂y/∂inputs[i] as new gates; y depends on the inputs through add, multiply, exp, sin and cos only. */
void tb_circuit_gradient(tb_circuit *, tb_wire y, size_t count, const tb_wire *inputs, tb_wire *out);
/* The function that is linear between the knots (ascending, at least two) and constant beyond them, as ReLU gates. */
tb_wire tb_circuit_piecewise(tb_circuit *, tb_wire a, size_t knots, const double *at, const double *values);

size_t tb_circuit_nodes(const tb_circuit *);      /* inputs and gates, without constants */
size_t tb_circuit_parameters(const tb_circuit *); /* distinct constants; SIZE_MAX: no memory */
/* in: values of the inputs in the order in which they were made; out[i]: value of wires[i]. */
tb_status tb_circuit_evaluate(const tb_circuit *, const double *in, size_t count, const tb_wire *wires, double *out);

#endif
