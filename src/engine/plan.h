/* The planned executor's inside: how a graph becomes a flat array of instructions over one arena.
 *
 *   simplify   graph → graph: common subexpressions, constants, algebra that keeps the bits
 *   schedule   units (fused pointwise groups, products with their sums, single operations) and their order
 *   lower      units → instructions whose operands are views of buffers
 *   memory     lifetimes of buffers → offsets in one arena, constants into one block
 *   execute    the instructions
 *
 * A buffer is memory of one stored value; a view is how a node's elements lie in a buffer.  Addresses are (base,
 * offset) with the bases looked up at run time, so the same plan serves any arena. */
#ifndef TB_ENGINE_PLAN_H
#define TB_ENGINE_PLAN_H

#include "engine/kernels/kernels.h"
#include "engine/program.h"
#include "engine/revolve.h"

/* ---- what runs ---- */

/* Bases of a frame: the arena, the constants, then the inputs, then the outputs. */
enum { TB_BASE_ARENA, TB_BASE_CONSTANTS, TB_BASE_FIRST };

typedef struct tb_address {
  uint32_t base;
  size_t offset; /* bytes */
} tb_address;

/* Threads at work on tiles, each with memory of its own of the same make.  One that has run out of groups takes groups
 * of tiles within another's tile: (tile, inner group) is one flat index space. */
typedef struct tb_team {
  char *memory;
  size_t bytes; /* of each */
} tb_team;

typedef struct tb_frame {
  tb_context *context;
  const tb_team *team;        /* NULL: alone */
  uint32_t member;            /* of the team: whose memory the frame lies in */
  tb_context *const *helpers; /* [threads]: of those who work in another's tile */
  tb_context *const *workers; /* [threads]: of those who work on tiles */
  char **bases;
  tb_status status; /* of the first instruction that failed */
} tb_frame;

static inline void *tb_at(const tb_frame *frame, tb_address a) {
  return frame->bases[a.base] + a.offset;
}

typedef struct tb_instruction tb_instruction;
struct tb_instruction {
  void (*run)(const tb_instruction *, tb_frame *);
  const void *detail; /* of the instruction's kind */
  const char *name;   /* for print: "product + sum", "pointwise ×5" */
  uint32_t node;      /* that it computes, of the simplified graph */
};

/* An output must not lie on an input that is read later; the same array is fine where both are taken in step. */
typedef struct tb_clash {
  uint32_t output, input;
  size_t output_bytes, input_bytes;
  bool same_allowed;
} tb_clash;

typedef struct tb_plan tb_plan;
struct tb_plan {
  const tb_graph *graph; /* simplified */
  const char *kernels;   /* the table's name */
  tb_instruction *instructions;
  uint32_t count;
  uint32_t input_count, output_count;
  size_t arena_bytes, constant_bytes;
  char *constants;
  tb_clash *clashes; /* of outputs with inputs that are still read when they are written */
  uint32_t clash_count;
  size_t *staging, *output_bytes; /* [outputs]: where in the arena an output waits when the caller's arrays clash */
};

static inline void tb_plan_execute(const tb_plan *plan, tb_frame *frame) {
  for (uint32_t i = 0; i < plan->count; i++)
    plan->instructions[i].run(&plan->instructions[i], frame);
}

/* ---- details of the instructions ---- */

/* A pointwise program over a collapsed iteration space [outer…, rows, cols], tile after tile. */
enum { TB_TILE_BYTES = 4096, TB_OUTER = TB_MAX_RANK - 2 };

typedef struct tb_lane { /* an operand of a pointwise program */
  tb_address at;         /* of element 0, or of a temporary's block */
  bool temporary;
  size_t outer[TB_OUTER]; /* strides in elements */
  size_t row, col;        /* col is 0 (a scalar of its row) or 1 */
} tb_lane;

typedef enum tb_step_kind { TB_STEP_UNARY, TB_STEP_PAIR, TB_STEP_BINARY, TB_STEP_TERNARY, TB_STEP_ADAM } tb_step_kind;

typedef struct tb_adam_step { /* its operands: lanes */
  uint16_t out[TB_ADAM_OUTPUTS], in[TB_ADAM_VECTORS], scalars[TB_ADAM_SCALARS];
  double numbers[TB_ADAM_NUMBERS];
} tb_adam_step;

typedef struct tb_step {
  tb_step_kind kind;
  bool flat; /* every operand runs on from row to row: one call for all rows */
  uint16_t out, out1, a, b, c;
  union {
    tb_kernel_unary *unary;
    tb_kernel_pair *pair;
    tb_kernel_binary *binary;
    tb_kernel_ternary *ternary;
    tb_kernel_adam *adam;
  } f;
  const tb_adam_step *adam;
  const char *name;
} tb_step;

typedef struct tb_pointwise {
  uint32_t lane_count, step_count, outer_count;
  size_t outer_dims[TB_OUTER], outer_total;
  size_t rows, cols, tile_rows, tile_cols;
  size_t element;      /* bytes */
  tb_address pointers; /* [lanes]: of the tile at hand */
  const tb_lane *lanes;
  const tb_step *steps;
} tb_pointwise;

typedef struct tb_product {
  tb_kernel_gemm *gemm;
  bool transpose_a, transpose_b;
  bool symmetric; /* a·aᵀ, or times a symmetric d: below the diagonal computed, above it copied by move */
  const tb_kernel_move *move;
  size_t m, n, k, lda, ldb, ldc, ldd;
  tb_gemm_with with;
  bool has_d;
  double alpha, beta; /* c = alpha·op(a)·op(b) + beta·d, or times d */
  tb_address a, b, c, d, scratch;
  uint32_t batch_rank;
  size_t batch_dims[TB_MAX_RANK], batch; /* and byte strides of a, b, c, d */
  size_t stride_a[TB_MAX_RANK], stride_b[TB_MAX_RANK], stride_c[TB_MAX_RANK], stride_d[TB_MAX_RANK];
} tb_product;

/* Attention of a batch of heads, forward or in reverse. */
typedef enum tb_attention_array {
  TB_ATTENTION_Q,
  TB_ATTENTION_K,
  TB_ATTENTION_V,
  TB_ATTENTION_BIAS,
  TB_ATTENTION_BAR, /* of out */
  TB_ATTENTION_OUT,
  TB_ATTENTION_Q_BAR,
  TB_ATTENTION_K_BAR,
  TB_ATTENTION_V_BAR,
  TB_ATTENTION_ARRAYS
} tb_attention_array;

typedef struct tb_attend {
  const tb_kernel_attention *kernel;
  tb_attention shape;
  bool reverse, biased;
  tb_address at[TB_ATTENTION_ARRAYS], scratch;
  uint32_t batch_rank;
  size_t batch_dims[TB_MAX_RANK], batch, strides[TB_ATTENTION_ARRAYS][TB_MAX_RANK]; /* bytes */
} tb_attend;

/* Layer norm of a batch of matrices, forward or in reverse. */
typedef enum tb_norm_array {
  TB_NORM_X,
  TB_NORM_GAIN,
  TB_NORM_SHIFT,
  TB_NORM_BAR,  /* of out */
  TB_NORM_REST, /* added to x̄ */
  TB_NORM_OUT,
  TB_NORM_X_BAR,
  TB_NORM_GAIN_BAR,
  TB_NORM_SHIFT_BAR,
  TB_NORM_ARRAYS
} tb_norm_array;

typedef struct tb_normalise {
  const tb_kernel_norm *kernel;
  tb_layer_norm shape;
  bool reverse, wanted[TB_NORM_ARRAYS];
  tb_address at[TB_NORM_ARRAYS], scratch;
  size_t batch, strides[TB_NORM_ARRAYS]; /* bytes */
} tb_normalise;

/* Two layers of a batch of matrices, forward or in reverse. */
typedef enum tb_feed_array {
  TB_FEED_X,
  TB_FEED_FIRST,
  TB_FEED_BIAS,
  TB_FEED_SECOND, /* [hidden×out], in reverse [out×hidden] */
  TB_FEED_BACK,   /* [hidden×in] */
  TB_FEED_BAR,    /* of out */
  TB_FEED_OUT,
  TB_FEED_X_BAR,
  TB_FEED_FIRST_BAR,
  TB_FEED_BIAS_BAR,
  TB_FEED_SECOND_BAR,
  TB_FEED_ARRAYS
} tb_feed_array;

typedef struct tb_feed {
  const tb_kernel_feed *kernel;
  tb_feed_forward shape;
  bool reverse, used[TB_FEED_ARRAYS];
  tb_address at[TB_FEED_ARRAYS], scratch;
  size_t batch, strides[TB_FEED_ARRAYS]; /* bytes */
} tb_feed;

typedef struct tb_fold {
  void (*reduce)(size_t outer, size_t count, size_t inner, const void *a, size_t stride_outer, size_t stride_count,
                 void *out);
  size_t outer, count, inner, stride_outer, stride_count;
  tb_address a, out;
} tb_fold;

typedef struct tb_rows {
  void (*f)(size_t rows, size_t cols, const void *a, void *out);
  size_t rows, cols;
  tb_address a, out;
} tb_rows;

/* Elements moved from one arrangement to another; innermost axis last. */
typedef struct tb_copy {
  uint32_t rank;
  size_t dims[TB_MAX_RANK], from[TB_MAX_RANK], to[TB_MAX_RANK]; /* strides in bytes */
  size_t element;
  tb_address a, out;
  void (*transpose)(size_t rows, size_t cols, const void *a, size_t lda, void *out, size_t ldo); /* of the last two */
} tb_copy;

typedef struct tb_zero {
  tb_address out;
  size_t bytes;
} tb_zero;

typedef struct tb_index_move {
  void (*f)(size_t outer, size_t length, size_t inner, const void *a, size_t count, const int32_t *index, void *out);
  size_t outer, length, inner, count;
  tb_address a, index, out;
  const char *name;
} tb_index_move;

typedef struct tb_dense {                /* Cholesky and solves, batches of [n×n] and [n×k] */
  const tb_kernel_factor *factor, *wide; /* of the type, and of float64 */
  tb_dtype dtype;
  bool transpose;
  size_t batch, n, k;
  tb_address a, b, out, work, pivots;
} tb_dense;

typedef struct tb_draw {
  bool normal;
  tb_dtype dtype;
  uint32_t use;
  size_t count;
  uint32_t tiles; /* that it is in: elements count on from their first rows */
  size_t row_elements[2];
  tb_address key, rows[2], out;
} tb_draw;

enum { TB_PLAIN_OPERANDS = 8 };
typedef struct tb_plain { /* an operation by its plain loop: integers, casts */
  const tb_graph *graph;
  const tb_node *node;
  tb_address out;
  uint32_t operand_count;
  const tb_address *operands;
} tb_plain;

/* A forward loop whose tape is too large keeps it for a block of steps only, and the carries at the starts of a few
 * blocks.  The reverse loops that read the tape run the steps of each block again before they walk back through it,
 * from the nearest start that is kept (revolve.h).  The very same instructions run, so the bits do not depend on the
 * blocks. */
typedef struct tb_loop tb_loop;

/* A carry goes from buffer to buffer, or, where the entries are wanted, along the stack of them. */
typedef struct tb_loop_carry {
  tb_address start, final, buffers[2]; /* kept: buffers[0] is the stack, in blocks that of one block and of its end */
  tb_address marks;                    /* in blocks: the entries that are kept, but for the start */
  tb_address whole;                    /* in blocks: the entries of all steps, where others read them, too */
  size_t bytes;
  bool kept, wholly;
  bool summed; /* by a product after a group of steps: the body gives what the product reads */
} tb_loop_carry;

typedef struct tb_loop_slice {
  tb_address at;       /* of the stack */
  size_t bytes;        /* of one step */
  const tb_loop *tape; /* of a slice: the loop in blocks whose tape it is, or NULL */
  bool taped;          /* of an out: the stack holds one block */
  tb_address dump;     /* of an out that is not taped: where it goes when steps run again */
} tb_loop_slice;

typedef struct tb_loop_tape { /* that a reverse loop reads */
  const tb_loop *loop;
  bool afresh; /* another loop has read it before: of the states that are kept only the start is left */
} tb_loop_tape;

/* A carry that only sums products aᵀb over rows: rows of a group of steps at once (loop_sums.c).  One operand is a
 * slice, the other is kept. */
typedef struct tb_loop_sum {
  uint32_t carry, slice;
  size_t steps;                   /* of a group */
  tb_product product;             /* k: of one step; c and d: where it ends and starts */
  bool kept_first;                /* a is what is kept, else b */
  size_t kept_bytes, slice_bytes; /* of one step */
  tb_address kept, copy;          /* [steps]; copy: of a slice on a tape in blocks */
} tb_loop_sum;

struct tb_loop {
  const tb_plan *body;
  size_t length;
  tb_revolve_plan blocks; /* block 0: the tape of all steps at once */
  bool reverse;
  uint32_t carry_count, slice_count, constant_count, out_count, tape_count;
  const tb_loop_carry *carries;
  const tb_loop_slice *slices, *outs;
  const tb_address *constants;
  const tb_loop_tape *tapes;
  uint32_t sum_count;
  tb_loop_sum *sums;
  tb_address kept;   /* in blocks: how many states are kept, then the blocks that begin there; size_t each */
  tb_address bases;  /* of the body's frame, behind the number of the step */
  tb_address memory; /* the body's arena */
  const char *whole; /* why a tape larger than the budget is kept for all steps; or NULL */
  double tape_bytes; /* of that tape */
};

/* Tiles of rows, in groups: a group's tiles one after the other, sums over rows added in order; the sums of groups in a
 * fixed tree.  Which thread takes which group does not matter. */
typedef struct tb_tile_operand {
  tb_address at;
  size_t row; /* bytes from row to row; 0: whole */
} tb_tile_operand;

typedef struct tb_tile_result {
  tb_tiling_kind kind;
  tb_address at;
  size_t bytes, row, outer; /* of the value; from row to row; pieces that a tile's rows are in */
  size_t part;              /* offset in a worker's memory, of what cannot be written in place */
  tb_address groups;        /* sums: of all groups but the first, which is `at` */
  size_t count, element;    /* of a sum */
  tb_kernel_binary *add;
} tb_tile_result;

enum { TB_MOST_GROUPS = 32 };

typedef struct tb_tiles {
  const tb_plan *body[2];
  size_t rows, tile, tiles, full, groups;
  uint32_t operand_count, result_count, threads;
  const tb_tile_operand *operands;
  const tb_tile_result *results;
  tb_address memory;                       /* of the workers */
  size_t worker_bytes, bases_at, arena_at; /* each: the row, parts, bases, the body's arena */
} tb_tiles;

void tb_run_pointwise(const tb_instruction *, tb_frame *);
void tb_run_product(const tb_instruction *, tb_frame *);
void tb_run_attention(const tb_instruction *, tb_frame *);
void tb_run_norm(const tb_instruction *, tb_frame *);
void tb_run_feed(const tb_instruction *, tb_frame *);
void tb_run_fold(const tb_instruction *, tb_frame *);
void tb_run_rows(const tb_instruction *, tb_frame *);
void tb_run_copy(const tb_instruction *, tb_frame *);
void tb_run_zero(const tb_instruction *, tb_frame *);
void tb_run_index(const tb_instruction *, tb_frame *);
void tb_run_cholesky(const tb_instruction *, tb_frame *);
void tb_run_triangular_solve(const tb_instruction *, tb_frame *);
void tb_run_solve(const tb_instruction *, tb_frame *);
void tb_run_draw(const tb_instruction *, tb_frame *);
void tb_run_plain(const tb_instruction *, tb_frame *);
void tb_run_loop(const tb_instruction *, tb_frame *);
void tb_run_tiles(const tb_instruction *, tb_frame *);

/* ---- planning ---- */

typedef enum tb_place_kind { TB_IN_ARENA, TB_IN_CONSTANTS, TB_IN_INPUT, TB_IN_OUTPUT } tb_place_kind;

typedef struct tb_buffer {
  tb_place_kind kind;
  uint32_t index;       /* input or output */
  size_t bytes, offset; /* offset is found by tb_memory_plan */
  uint32_t first, last; /* instructions that touch it first and last */
  uint32_t crossed;     /* 1 + the last instruction that read it other than in step with what it wrote; 0: none */
} tb_buffer;

/* The instruction reads an element of the input before it writes the same element of the output, and no other: the two
 * may be one array. */
typedef struct tb_in_step {
  uint32_t output, input; /* buffers */
  struct tb_in_step *next;
} tb_in_step;

enum { TB_NO_BUFFER = UINT32_MAX };

typedef struct tb_view {
  uint32_t buffer;             /* TB_NO_BUFFER: not there yet */
  size_t offset;               /* elements */
  size_t strides[TB_MAX_RANK]; /* elements, of the node's axes */
} tb_view;

/* A unit is what becomes one instruction (or a few): a pointwise group, a pattern (patterns.h), or one node. */
typedef enum tb_unit_kind { TB_UNIT_NODE, TB_UNIT_GROUP, TB_UNIT_PRODUCT, TB_UNIT_PATTERN } tb_unit_kind;

typedef struct tb_unit {
  tb_unit_kind kind;
  uint32_t count;
  uint32_t *members; /* nodes in order; of a product: the matmul first, the node it yields last */
} tb_unit;

typedef struct tb_pattern tb_pattern;

/* c = alpha·product + beta·other or its positive part, or alpha·product times other or where other is positive,
 * recognised around a matmul. */
typedef struct tb_epilogue {
  uint32_t matmul, other, yields; /* nodes; other is TB_NO_BUFFER where there is none */
  uint32_t slope;                 /* 1 where other is positive, inside; or TB_NO_BUFFER */
  double alpha, beta;
  tb_gemm_with with;
} tb_epilogue;

typedef struct tb_planner {
  tb_context *context;
  tb_arena *arena;              /* of the finished plan */
  tb_arena *scratch;            /* of the planning */
  const tb_kernels *kernels[3]; /* by dtype; integers are moved by the 32-bit one */
  const tb_graph *graph;
  size_t n_out;
  const uint32_t *outputs;
  const tb_limits *limits;
  bool outermost;

  bool *is_output;
  uint32_t *uses;    /* [nodes]: readers, and outputs once each */
  uint32_t *unit_of; /* [nodes]: the unit that computes it */
  uint32_t *slot;    /* [nodes]: zero between groups, see fuse.h */
  tb_unit *units;    /* in order of execution */
  uint32_t unit_count;
  tb_epilogue *epilogues; /* [nodes], by the node that is yielded; matmul is TB_NO_BUFFER where there is none */

  tb_pattern **pattern_of;          /* [nodes]: that yields it, or NULL */
  uint32_t *reader_first, *readers; /* [nodes + 1], runs of readers */

  uint32_t *home;      /* [nodes]: the reader in whose memory the node is computed, or TB_NO_BUFFER (places.c) */
  tb_view *views;      /* [nodes] */
  tb_view *contiguous; /* [nodes]: a row-major copy, where one was needed */
  tb_buffer *buffers;
  uint32_t buffer_count, buffer_capacity;
  tb_instruction *instructions;
  uint32_t instruction_count, instruction_capacity;
  tb_address **addresses; /* to be resolved: base holds a buffer until memory is planned */
  uint32_t address_count, address_capacity;
  struct tb_taped *taped;     /* loops in blocks, see lower_loop.c */
  const void **constant_data; /* [buffers]: of buffers in the constants */
  tb_in_step *in_step;
} tb_planner;

/* simplify.c: a smaller graph that computes the same outputs with the same inputs. */
tb_status tb_simplify(tb_context *, const tb_graph *, size_t n_out, const uint32_t *outputs, uint32_t *outputs_new,
                      tb_graph **simple);

/* schedule.c */
bool tb_op_is_view(tb_op op); /* reshape, transpose, broadcast, slice, stop: no work of its own */
tb_status tb_schedule(tb_planner *);

/* views.c */
uint32_t tb_new_buffer(tb_planner *, tb_place_kind, size_t bytes); /* TB_NO_BUFFER: out of memory */
tb_status tb_view_of(tb_planner *, uint32_t node, tb_view *);
tb_status tb_contiguous_view(tb_planner *, uint32_t node, tb_view *); /* row-major, copied where it is not */
bool tb_view_is_contiguous(const tb_node *, const tb_view *);
/* The same elements with other dims where strides can say it. */
bool tb_view_reshape(size_t rank, const size_t *dims, const size_t *strides, size_t new_rank, const size_t *new_dims,
                     size_t *new_strides);
/* Where a node's result goes: an output where it is one, its place in the value that reads it (places.c), else new
 * memory; row-major, or with rows that run on. */
tb_status tb_view_make(tb_planner *, uint32_t node, tb_view *);
tb_status tb_view_make_rows(tb_planner *, uint32_t node, tb_view *);
tb_status tb_constant_bytes(tb_planner *, const void *data, size_t bytes, uint32_t *buffer);
/* Copies the elements of one view to another. */
tb_status tb_emit_copy(tb_planner *, uint32_t node, const tb_node *shape, const tb_view *from, const tb_view *to);

/* places.c */
void tb_find_homes(tb_planner *);
/* The node's view in its home; false where it has none. */
tb_status tb_place_at_home(tb_planner *, uint32_t node, tb_view *, bool *found);
/* Where operand k of a concatenation lies in it. */
tb_view tb_part_of(const tb_planner *, uint32_t concat, uint32_t k, const tb_view *whole);
/* Whether two views show the same elements. */
bool tb_same_view(const tb_node *, const tb_view *, const tb_view *);

/* lower.c */
tb_status tb_lower(tb_planner *);
tb_status tb_emit(tb_planner *, void (*run)(const tb_instruction *, tb_frame *), const void *detail, const char *name,
                  uint32_t node);
/* Notes that the instruction that is emitted next touches a view, and fills in the address (resolved later). */
tb_status tb_touch(tb_planner *, const tb_view *, size_t element, bool write, tb_address *);
/* A read that may fall together with a write: whoever calls it also calls tb_note_in_step for the writes it goes with.
 */
tb_status tb_touch_in_step(tb_planner *, const tb_view *, size_t element, tb_address *);
tb_status tb_note_in_step(tb_planner *, uint32_t output, uint32_t input);
/* Working memory of the instruction that is emitted next. */
tb_status tb_touch_scratch(tb_planner *, size_t bytes, tb_address *);

tb_status tb_read_contiguous(tb_planner *, uint32_t node, tb_address *);
tb_status tb_write_result(tb_planner *, uint32_t node, tb_address *);
tb_status tb_prepare_operands(tb_planner *, const tb_node *);

/* The same for a buffer as a whole; *address stays where it is until memory is planned. */
tb_status tb_touch_buffer(tb_planner *, uint32_t buffer, size_t offset, tb_address *address);

/* lower_loop.c */
tb_status tb_lower_loop(tb_planner *, uint32_t node);

/* loop_sums.c: finds the carries that are summed a group of steps at a time, and what the body gives for them. */
tb_status tb_find_loop_sums(tb_planner *, uint32_t node, uint32_t *results, tb_loop *);
tb_status tb_lower_loop_sum(tb_planner *, uint32_t node, const tb_loop *, tb_loop_sum *);

/* lower_tiles.c */
tb_status tb_lower_tiles(tb_planner *, uint32_t node);

/* fuse.c: a pointwise group becomes one program of steps. */
tb_status tb_lower_group(tb_planner *, const tb_unit *);

/* plan.c: outermost: of a program; else of a body, which runs within a thread and whose outputs never lie on its
 * inputs. */
enum { TB_CACHE = 9 << 19 }; /* bytes that should do for what is in work at a time */
tb_status tb_plan_graph(tb_context *, tb_arena *, const tb_graph *, size_t n_out, const uint32_t *outputs,
                        const tb_limits *, bool outermost, tb_plan **);

/* plan_print.c */
void tb_plan_print(const tb_plan *, tb_text *);

/* memory.c */
tb_status tb_memory_plan(tb_planner *, tb_plan *);

#endif
