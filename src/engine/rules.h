/* The functions behind the table of operations, one family a file: shapes in build_*.c, derivatives in derive_*.c,
 * plain loops in naive_*.c. */
#ifndef TB_ENGINE_RULES_H
#define TB_ENGINE_RULES_H

#include "engine/node.h"

#define TB_SHAPE_RULE(name) bool tb_##name##_shape(tb_graph *, tb_node *)
#define TB_VJP_RULE(name)                                                                                              \
  void tb_##name##_vjp(tb_graph *, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars)
#define TB_JVP_RULE(name) void tb_##name##_jvp(tb_graph *, uint32_t self, const tb_value *operand_dots, tb_value *dots)
#define TB_NAIVE_RULE(name)                                                                                            \
  tb_status tb_##name##_naive(tb_context *, const tb_graph *, const tb_node *, const void *const *operands, void *out)
#define TB_DERIVATIVES(name)                                                                                           \
  TB_VJP_RULE(name);                                                                                                   \
  TB_JVP_RULE(name)

TB_SHAPE_RULE(given);
TB_SHAPE_RULE(elementwise); /* that of operand 0 */
TB_SHAPE_RULE(select);
TB_SHAPE_RULE(cast);
TB_SHAPE_RULE(matmul);
TB_SHAPE_RULE(square_matrix);
TB_SHAPE_RULE(solve);
TB_SHAPE_RULE(transpose);
TB_SHAPE_RULE(concat);
TB_SHAPE_RULE(reduce);

TB_DERIVATIVES(unary);
TB_DERIVATIVES(binary);
TB_DERIVATIVES(power);
TB_DERIVATIVES(scale);
TB_DERIVATIVES(shift);
TB_DERIVATIVES(select);
TB_DERIVATIVES(cast);
TB_DERIVATIVES(matmul);
TB_DERIVATIVES(cholesky);
TB_DERIVATIVES(triangular_solve);
TB_DERIVATIVES(solve);
TB_DERIVATIVES(lower);
TB_DERIVATIVES(reshape);
TB_DERIVATIVES(transpose);
TB_DERIVATIVES(broadcast);
TB_DERIVATIVES(slice);
TB_DERIVATIVES(pad);
TB_DERIVATIVES(concat);
TB_DERIVATIVES(gather);
TB_DERIVATIVES(scatter_add);
TB_DERIVATIVES(reduce);
TB_DERIVATIVES(softmax);
TB_DERIVATIVES(log_softmax);
TB_DERIVATIVES(scan);

TB_NAIVE_RULE(fill);
TB_NAIVE_RULE(constant);
TB_NAIVE_RULE(iota);
TB_NAIVE_RULE(unary);
TB_NAIVE_RULE(binary);
TB_NAIVE_RULE(power);
TB_NAIVE_RULE(scale);
TB_NAIVE_RULE(shift);
TB_NAIVE_RULE(select);
TB_NAIVE_RULE(cast);
TB_NAIVE_RULE(copy); /* stop, reshape */
TB_NAIVE_RULE(matmul);
TB_NAIVE_RULE(cholesky);
TB_NAIVE_RULE(triangular_solve);
TB_NAIVE_RULE(solve);
TB_NAIVE_RULE(lower);
TB_NAIVE_RULE(transpose);
TB_NAIVE_RULE(broadcast);
TB_NAIVE_RULE(slice);
TB_NAIVE_RULE(pad);
TB_NAIVE_RULE(concat);
TB_NAIVE_RULE(gather);
TB_NAIVE_RULE(scatter_add);
TB_NAIVE_RULE(reduce);
TB_NAIVE_RULE(softmax);
TB_NAIVE_RULE(log_softmax);
TB_NAIVE_RULE(random);

#endif
