/* The decoder-only transformer (Vaswani et al. 2017; pre-norm: Xiong et al. 2020): logits of the next symbol at every
 * place from the symbols up to that place. */
#ifndef TB_MODEL_TRANSFORMER_H
#define TB_MODEL_TRANSFORMER_H

#include <tiebreak/graph.h>
#include <tiebreak/random.h>

typedef enum tb_position {
  TB_POSITION_NONE,       /* order only through the causal mask */
  TB_POSITION_SINUSOIDAL, /* added: sin and cos of place / 10000^(2i/d) in entries 2i and 2i+1 (Vaswani et al. 2017) */
  TB_POSITION_LEARNED,    /* added: a row of parameters for each place */
  TB_POSITION_ROPE, /* queries and keys turned by place · 10000^(−2i/h) in the plane of entries i and h/2 + i of a
                       head of width h (Su et al. 2021) */
  TB_POSITION_ALIBI /* −slope · distance added to scores; head k = 1 … H has slope 2^(−8k/H) (Press et al. 2022) */
} tb_position;

typedef struct tb_transformer_shape {
  size_t vocabulary;    /* V */
  size_t width;         /* d, of embeddings and the residual stream */
  size_t heads;         /* divides width; width/heads is even for rope */
  size_t feedforward;   /* width of the hidden layer of a feed-forward block */
  size_t layers;        /* at least 1 */
  size_t length;        /* longest sequence; learned positions have a parameter row for each place */
  bool post_norm;       /* normalise after each residual sum, none at the end; else before each branch and at the end */
  bool scale_embedding; /* embeddings times √d */
  tb_unary activation;  /* a, of the feed-forward blocks: TB_RELU, TB_GELU */
  double activation_scale; /* s > 0: a(s z)/s in place of a(z); 0: 1 */
  tb_position position;
  bool place_by_row; /* a defect to study: sinusoidal codes are taken by row of the batch, not by place */
  double epsilon;    /* added to variances in layer norms */
} tb_transformer_shape;

/* Refuses shapes that make no sense or no sane size (TB_USAGE): an empty size, heads that don't divide the width, odd
 * heads with rope, epsilon not positive, more than 2^28 parameters. */
tb_status tb_transformer_check(tb_context *, const tb_transformer_shape *);

/* p; SIZE_MAX when it overflows.  With post-norm: V d + layers (4 d² + 2 d f + f + 9 d) + V d + V. */
size_t tb_transformer_parameters(const tb_transformer_shape *);

/* The k-th block in theta: E [V,d]; P [length,d] when learned; for each layer the attention's norm gain1, shift1
 * and weights Wqkv [3d,d], bqkv, Wo [d,d], bo, the feed-forward's norm gain2, shift2 and weights W1 [f,d], b1, W2
 * [d,f], b2; with pre-norm gain and shift of the last norm; U [V,d] and u.  Vectors are [1,n].  False past the last. */
bool tb_transformer_block(const tb_transformer_shape *, size_t k, char name[32], size_t *rows, size_t *cols);

/* theta[p]: embeddings N(0,1), attention's input weights U(±√(6/4d)), other weights U(±1/√inputs), their biases
 * likewise, attention's biases 0, gains 1, shifts 0: the start that PyTorch's layers have. */
void tb_transformer_initialise(const tb_transformer_shape *, tb_key key, double *theta);

/* theta[R,p], tokens int32 [B,T] or [R,B,T] with T ≤ length → logits [R,B,T,V].  Logits at a place are the same bits
 * whatever follows it. */
tb_value tb_transformer_logits(tb_graph *, const tb_transformer_shape *, tb_value theta, tb_value tokens);
/* While training with dropout of that rate (0 ≤ rate < 1) on embeddings, branches and hidden layers; keys TB_INT32
 * [R,3] are read when the rate is positive. */
tb_value tb_transformer_logits_dropout(tb_graph *, const tb_transformer_shape *, tb_value theta, tb_value tokens,
                                       double rate, tb_value keys);

/* One place further, in layers + 1 stages that are parted by the attention of a layer: stage k = 0 … layers − 1 ends
 * with the next layer's query (scaled), key and value; from k = 1 on it begins with what the query of stage k − 1 has
 * seen in the keys and values of all places so far, this one included.  ALiBi's slope is the attention's to add. */
typedef struct tb_transformer_stage {
  tb_value tokens, place;     /* in: int32 [R,B] and scalar */
  tb_value stream;            /* in (k > 0) and out: [R,B,d] */
  tb_value seen;              /* in (k > 0): [R,B,d], head by head */
  tb_value query, key, value; /* out (k < layers): [R,B,d], head by head */
  tb_value logits;            /* out (k = layers): [R,B,V] of the next symbol */
} tb_transformer_stage;
void tb_transformer_step(tb_graph *, const tb_transformer_shape *, tb_value theta, size_t k, tb_transformer_stage *);
/* Slope of head k = 0 … heads − 1 with ALiBi; 0 otherwise. */
double tb_transformer_slope(const tb_transformer_shape *, size_t k);

#endif
