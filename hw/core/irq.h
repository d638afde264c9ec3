// Interrupt lines as devices see them; the accelerator below uses them too.
#pragma once

#include "util/irq.h"
