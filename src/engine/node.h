/* The inside of a graph: nodes, the table of operations, and how a node is appended.
 *
 * A graph is an array of nodes in the order in which they were built, so operands always precede their users and index
 * order is a topological order.  Within a graph nodes name each other by index; tb_value is the public handle.  A scan
 * is one node whose body is a graph of its own; its results are the TB_OP_RESULT nodes that follow it directly.
 * The graph knows nothing of memory plans, tiles or the CPU: executors read it through this header. */
#ifndef TB_ENGINE_NODE_H
#define TB_ENGINE_NODE_H

#include <tiebreak/graph.h>

#include <assert.h>

/* ---- operations ---- */

typedef enum tb_op {
  /* leaves */
  TB_OP_INPUT,    /* name, position */
  TB_OP_FILL,     /* every element is attributes.value */
  TB_OP_CONSTANT, /* data: elements of dtype, row-major */
  TB_OP_IOTA,     /* the index along attributes.axis */
  /* elementwise: operands have exactly the result's shape */
  TB_OP_UNARY,  /* kind: tb_unary, order: derivative 0..3, only the pairs that tb_unary_native admits */
  TB_OP_BINARY, /* kind: tb_binary */
  TB_OP_POWER,  /* a ^ value */
  TB_OP_SCALE,  /* a · value */
  TB_OP_SHIFT,  /* a + value */
  TB_OP_SELECT, /* operand 0 != 0 ? operand 1 : operand 2 */
  TB_OP_CAST,   /* to dtype; float to integer truncates, saturates, NaN gives 0 */
  TB_OP_STOP,   /* the identity, with derivative zero */
  /* linear algebra on the last two axes; leading axes of all operands are equal (broadcast is explicit) */
  TB_OP_MATMUL,           /* transpose_a, transpose_b */
  TB_OP_CHOLESKY,         /* reads the lower triangle, strict upper triangle of the result is zero */
  TB_OP_TRIANGULAR_SOLVE, /* transpose_a: Lᵀ x = b; reads the lower triangle of operand 0 */
  TB_OP_SOLVE,            /* transpose_a: aᵀ x = b */
  TB_OP_LOWER,            /* lower triangle kept, diagonal times value, strict upper zero */
  /* shape */
  TB_OP_RESHAPE,
  TB_OP_TRANSPOSE,   /* result axis i is operand axis permutation[i] */
  TB_OP_BROADCAST,   /* NumPy's rule, right-aligned */
  TB_OP_SLICE,       /* axis, start; the length is the result's */
  TB_OP_PAD,         /* zeros around: the operand lands at start on axis (transpose of a slice) */
  TB_OP_CONCAT,      /* axis */
  TB_OP_GATHER,      /* axis; operand 1: int32 [k] */
  TB_OP_SCATTER_ADD, /* axis; operand 1: int32 [k]; transpose of a gather */
  /* reductions */
  TB_OP_REDUCE,      /* kind: TB_SUM, TB_MAX, TB_MIN, TB_LOGSUMEXP (a mean is a scaled sum); axes, keep */
  TB_OP_SOFTMAX,     /* last axis */
  TB_OP_LOG_SOFTMAX, /* last axis */
  /* randomness: operand 0 is the key, int32 [3] = seed low, seed high, step; element i is number i of the key */
  TB_OP_NORMAL, /* use */
  TB_OP_UNIFORM,
  /* loops */
  TB_OP_SCAN,   /* scan; no value of its own (rank 0, elements 0) */
  TB_OP_RESULT, /* operand 0: the scan, or the tiles; index */
  TB_OP_TILES,  /* tiling; no value of its own; made by the planner, never by a builder (regions.h) */
  TB_OP_COUNT
} tb_op;

/* All attributes of all operations; what an operation does not use is zero, so that equal nodes are equal bytes. */
typedef struct tb_attributes {
  double value;                     /* fill, power, scale, shift, lower */
  uint64_t start;                   /* slice, pad; in a tile: of an input, rows of what it is cut from;
                                       of a draw, elements of a row (operand 1 is the tile's first row) */
  uint32_t kind;                    /* tb_unary, tb_binary, tb_reduction */
  uint32_t order;                   /* unary: order of the derivative */
  uint32_t axis;                    /* iota, slice, pad, concat, gather, scatter-add */
  uint32_t axes;                    /* reduce: bit i set, axis i is reduced (no bits beyond the rank) */
  uint32_t use;                     /* random: purpose */
  uint32_t index;                   /* result: which; input: position among the graph's inputs; draw in a tile within a
                                       tile: elements of a row of the inner one (operand 2) */
  uint8_t permutation[TB_MAX_RANK]; /* transpose */
  uint8_t transpose_a, transpose_b; /* matmul; solves use a */
  uint8_t keep;                     /* reduce */
  uint8_t unused[7];                /* zero: no padding, nodes are compared as bytes */
} tb_attributes;

typedef struct tb_scan tb_scan;
typedef struct tb_tiling tb_tiling;

typedef struct tb_node {
  tb_op op;
  tb_dtype dtype;
  uint32_t rank;
  uint32_t operand_count;
  size_t dims[TB_MAX_RANK]; /* beyond the rank: zero */
  size_t elements;          /* product of dims; 1 for rank 0 */
  const uint32_t *operands; /* indices of earlier nodes of the same graph */
  tb_attributes attributes;
  const void *data;        /* constant: elements of dtype */
  const char *name;        /* input */
  const tb_scan *scan;     /* scan */
  const tb_tiling *tiling; /* tiles */
  tb_place place;          /* the caller's line; of a derivative: of the node it came from */
} tb_node;

/* The body's inputs, in this order: step (int32, rank 0), carries, slices, constants.  Its results: carries, outs. The
 * scan's operands are the starting carries, xs [length, slice…] and constants.  Its TB_OP_RESULT nodes stand right
 * behind it in the graph: the final carries, the stacked outs [length, out…], and the entries [length, carry…]: the
 * carries as they enter each step, which reverse mode reads (worth computing only where a node reads them).
 * reverse walks k = length − 1 … 0; step, slices, outs and entries keep the position k. */
struct tb_scan {
  tb_graph *body;
  const uint32_t *results; /* [carries + outs] node indices of the body */
  size_t length;
  bool reverse;
  uint32_t carries, slices, constants, outs;
};

/* Work on rows, tile after tile of them.  Of a tile of some rows there is a body; the tiles behind the first `full`
 * ones have a row less and then another body.  A body's inputs: the number of the tile's first row (int32, rank 0),
 * then the operands.  An operand that is cut comes as [outer, rows of the tile, inner] of a value [outer, rows, inner],
 * the others whole.  The TB_OP_RESULT nodes behind the node are the rows of all tiles put together again, sums over the
 * tiles, or what is the same in every tile. */
typedef enum tb_tiling_kind { TB_TILING_ROWS, TB_TILING_SUM, TB_TILING_SAME } tb_tiling_kind;
typedef struct tb_tiling_operand {
  bool cut;
  size_t inner;
} tb_tiling_operand;
typedef struct tb_tiling_result {
  tb_tiling_kind kind;
  size_t outer, inner; /* of rows */
} tb_tiling_result;
struct tb_tiling {
  size_t rows, tile, tiles, full; /* tiles·(tile − 1) + full = rows */
  tb_graph *body[2];              /* of tile and tile − 1 rows; the second is NULL where all tiles are full */
  tb_graph *source[2];            /* what a body with tiles of its own was made from, and takes names from; or NULL */
  const uint32_t *results[2];     /* [result_count] nodes of the body */
  uint32_t operand_count, result_count;
  const tb_tiling_operand *operands;
  const tb_tiling_result *produce;
};

struct tb_graph {
  tb_context *context;
  tb_arena *arena; /* owns nodes, operands, data, names */
  tb_node **nodes; /* [count]; a node never moves */
  uint32_t count, capacity;
  uint32_t *inputs; /* [input_count] node indices, in the order of the tb_input calls */
  uint32_t input_count, input_capacity;
  int32_t first; /* id of node 0: a scan body numbers on from its outer graph, so that handles of one are foreign to
                    the other */
  const tb_place *origin; /* while differentiating: the place that new nodes get */
  tb_status status;       /* of the first mistake */
  char *message;          /* of the first mistake, in the arena: "matmul: inner sizes differ: …" */
  char *message_place;    /* "model.c:41" */
  bool closed;            /* a scan's body: no further inputs */
};

/* ---- the table of operations ---- */

typedef struct tb_op_record {
  const char *name;
  int arity; /* −1: any number */
  /* Infers dtype and shape of a node whose operands and attributes stand (of a reshape, broadcast or leaf also its
   * shape), or reports the mistake with tb_graph_fail and returns false. */
  bool (*shape)(tb_graph *, tb_node *);
  /* Reverse: given cotangents of the results, sets operand_bars[i] where wanted[i] and the derivative is not zero
   * (id < 0 stays "zero").  bars points at the node's own cotangent; for a scan at those of its results, in which
   * id < 0 means zero.  NULL: derivative zero. */
  void (*vjp)(tb_graph *, uint32_t self, const tb_value *bars, const bool *wanted, tb_value *operand_bars);
  /* Forward: operand_dots[i] with id < 0 meaning zero (not all are); sets dots[0], of a scan dots[0 … results).  NULL:
   * derivative zero. */
  void (*jvp)(tb_graph *, uint32_t self, const tb_value *operand_dots, tb_value *dots);
  /* One node with plain loops; operands and out are row-major.  Scans are the executor's. */
  tb_status (*naive)(tb_context *, const tb_graph *, const tb_node *, const void *const *operands, void *out);
  /* Multiply-add counts 2, a transcendental 1, moving data 0. */
  double (*flop)(const tb_graph *, const tb_node *);
} tb_op_record;

extern const tb_op_record tb_ops[TB_OP_COUNT];

/* Whether (kind, order) exists as a node; the builder rewrites the others (exp′ = exp, log′ = 1/x, …).  Native are
 * order 0 of all, order 1 of relu, and orders 1 … 3 of tanh, erf, sigmoid, gelu and log_normal_cdf. */
bool tb_unary_native(tb_unary kind, unsigned order);
/* f^(order), order 1 … 4, of a pair that is not native, composed of nodes that exist. */
tb_value tb_unary_rewrite_at(tb_place, tb_graph *, tb_unary kind, int order, tb_value a);
const char *tb_unary_name(tb_unary kind);
const char *tb_binary_name(tb_binary kind);
const char *tb_reduction_name(tb_reduction kind);
const char *tb_dtype_name(tb_dtype dtype);
/* "softplus", "gelu''", "matmul", "sum" */
const char *tb_node_name(const tb_node *node, char buffer[static 32]);
/* The scalar function itself in float64: the definition that every kernel is held to. */
double tb_unary_evaluate(tb_unary kind, unsigned order, double x);

/* ---- reading a graph ---- */

static inline size_t tb_dtype_size(tb_dtype dtype) {
  return dtype == TB_FLOAT64 ? 8 : 4;
}
static inline size_t tb_node_bytes(const tb_node *node) {
  return node->elements * tb_dtype_size(node->dtype);
}
static inline const tb_node *tb_node_at(const tb_graph *graph, uint32_t index) {
  assert(index < graph->count);
  return graph->nodes[index];
}
static inline const tb_node *tb_node_operand(const tb_graph *graph, const tb_node *node, uint32_t i) {
  assert(i < node->operand_count);
  return graph->nodes[node->operands[i]];
}
static inline tb_value tb_value_at(const tb_graph *graph, uint32_t index) {
  return (tb_value){ graph->first + (int32_t)index };
}
/* Index of a handle; the caller has made sure that it is valid. */
static inline uint32_t tb_index(const tb_graph *graph, tb_value a) {
  assert(a.id >= graph->first && (uint32_t)(a.id - graph->first) < graph->count);
  return (uint32_t)(a.id - graph->first);
}
static inline bool tb_value_valid(const tb_graph *graph, tb_value a) {
  return a.id >= graph->first && (uint32_t)(a.id - graph->first) < graph->count;
}
static inline const tb_node *tb_node_of(const tb_graph *graph, tb_value a) {
  return graph->nodes[tb_index(graph, a)];
}
static inline bool tb_dtype_real(tb_dtype dtype) {
  return dtype != TB_INT32;
}
bool tb_same_shape(const tb_node *a, const tb_node *b);
/* Results of a scan's body (carries, outs) and of the scan itself (carries, outs, entries). */
static inline uint32_t tb_scan_body_results(const tb_scan *scan) {
  return scan->carries + scan->outs;
}
static inline uint32_t tb_scan_results(const tb_scan *scan) {
  return 2 * scan->carries + scan->outs;
}

/* ---- writing a graph ---- */

static const tb_value tb_no_value = { -1 };

/* The one way in: checks the operands, infers the shape, appends.  node is a template: op, attributes, operands (any
 * memory), and dtype and shape where the operation does not infer them.  The failed handle on mistakes. */
tb_value tb_node_append(tb_place, tb_graph *, const tb_node *node, size_t operand_count, const tb_value *operands);
/* Records the first mistake: "file:line: operation: message".  Always gives the failed handle. */
tb_value tb_graph_fail(tb_place, tb_graph *, const char *operation, const char *format, ...) TB_PRINTF(4, 5);
/* Whether the graph is sound and the operands are values of it; else the mistake is recorded. */
bool tb_graph_check(tb_place, tb_graph *, const char *operation, size_t operand_count, const tb_value *operands);
/* "[8,3]" into the buffer; a scalar is "[]". */
enum { TB_SHAPE_TEXT = 140 };
const char *tb_shape_text(size_t rank, const size_t *dims, char buffer[static TB_SHAPE_TEXT]);
/* The product of dims, or false when its bytes do not fit in 2⁴⁸. */
bool tb_shape_elements(size_t rank, const size_t *dims, size_t *elements);

/* Widens dims to the common shape with another by NumPy's rule; false where there is none. */
bool tb_join_shapes(size_t *rank, size_t dims[TB_MAX_RANK], size_t other_rank, const size_t *other_dims);

/* Internal builders that the public header does not offer. */
tb_value tb_lower_at(tb_place, tb_graph *, tb_value a, double diagonal);
tb_value tb_pad_at(tb_place, tb_graph *, tb_value a, size_t axis, size_t start, size_t length);
tb_value tb_broadcast_like_at(tb_place, tb_graph *, tb_value a, tb_value like);
tb_value tb_fill_like_at(tb_place, tb_graph *, tb_value like, double value);
/* The transpose of a broadcast: bar summed to the shape of like. */
tb_value tb_sum_like_at(tb_place, tb_graph *, tb_value bar, tb_value like);

/* A copy of graph with only the nodes that the outputs need, and all inputs (in their order); outputs_new[i] is the
 * index of outputs[i] in the copy.  Bodies of scans are copied (and pruned) too. */
tb_status tb_graph_extract(tb_context *, const tb_graph *graph, size_t n_out, const uint32_t *outputs,
                           uint32_t *outputs_new, tb_graph **copy);
/* A copy of a scan with its body, for a node of another graph. */
tb_status tb_scan_copy(tb_context *, const tb_scan *scan, tb_arena *arena, const tb_scan **copy);
/* A child of graph for a scan's body. */
tb_status tb_graph_child(tb_graph *outer, tb_graph **child);
/* Appends copies of all nodes of body to graph, its inputs replaced by values of graph; results[i] becomes the value of
 * the body's node wanted[i]. */
tb_status tb_graph_inline(tb_graph *graph, const tb_graph *body, const tb_value *inputs, size_t count,
                          const uint32_t *wanted, tb_value *results);
/* Makes the child's failure the graph's own. */
void tb_graph_adopt_failure(tb_graph *graph, const tb_graph *child);
/* Appends a scan and its results.  shape gives length, reverse and the four counts; body is the child with its inputs
 * in order, and is owned by the graph from here on, whatever happens; results are the body's, operands the graph's.
 * Slices and constants that the body does not read are left out.  The value of the first result is *first. */
tb_status tb_scan_append(tb_place, tb_graph *, const tb_scan *shape, tb_graph *body, const tb_value *results,
                         const tb_value *operands, tb_value *first);

#endif
