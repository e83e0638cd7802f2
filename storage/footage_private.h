#pragma once

#include "storage/clip_boxes.h"
#include "storage/footage.h"

/* Decode times of a file are less: some centuries at any timescale that cameras use. */
#define FOOTAGE_TIME_MOST (INT64_C(1) << 52)

/* --- footage_piece.c --- */

struct footage_format *footage_format_new(const struct clip_head *head) MUST_CHECK;
/* Finds the samples in piece->data, a whole fragment. Returns 0 or -EBADMSG. */
int footage_piece_parse(struct footage_piece *piece, const struct clip_head *head) MUST_CHECK;
