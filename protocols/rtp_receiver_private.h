#pragma once

#include "protocols/rtp_receiver.h"

/* Makes track->parameters anew of what the depacketiser knows. Logs why when it cannot. */
bool rtp_receiver_make_parameters(struct rtp_receiver_track *track);
/* Whether they differ, for a unit that says that its sets changed. */
bool rtp_receiver_has_changed(const struct rtp_receiver_track *track);

/* What depacketisers call, with the track as argument. */
extern const struct rtp_depacketiser_events rtp_receiver_unit_events;
