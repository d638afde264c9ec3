// <linux/kvm.h> with its structures as the kernel has them.
//
// Some versions of <linux/stddef.h> declare a flexible array with an empty struct before it, which has no
// size in C but one byte in C++: the array would move, and with the structure's size the request's number.
#pragma once

#include <linux/stddef.h>

#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) TYPE NAME[0]

#include <linux/kvm.h>

static_assert(sizeof(kvm_cpuid2) == 8 && sizeof(kvm_msrs) == 8 && sizeof(kvm_msr_list) == 4 &&
              sizeof(kvm_irq_routing) == 8);
