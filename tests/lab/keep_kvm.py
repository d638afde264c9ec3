"""Keeps idle virtual machines open in L1 for as long as it runs.

KVM rewrites branches in the running kernel when the first machine appears, when the first local APIC
is switched off, when the first vCPU without one appears, and again when the last of each goes.  Under
an emulated CPU that is slow and fragile; a machine of each kind that never goes away avoids it.
"""
import fcntl
import signal
import struct

# linux/kvm.h
KVM_CREATE_VM = 0xAE01
KVM_CREATE_VCPU = 0xAE41
KVM_CREATE_IRQCHIP = 0xAE60
KVM_GET_SREGS = 0x8138AE83
KVM_SET_SREGS = 0x4138AE84
SREGS_BYTES, APIC_BASE_OFFSET = 0x138, 272
APIC_ENABLED = 1 << 11

kvm = open("/dev/kvm", "rb+", buffering=0)

without_apic = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
fcntl.ioctl(without_apic, KVM_CREATE_VCPU, 0)

with_apic = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
fcntl.ioctl(with_apic, KVM_CREATE_IRQCHIP, 0)
vcpus = [fcntl.ioctl(with_apic, KVM_CREATE_VCPU, index) for index in range(2)]
sregs = bytearray(SREGS_BYTES)
fcntl.ioctl(vcpus[1], KVM_GET_SREGS, sregs)
base, = struct.unpack_from("<Q", sregs, APIC_BASE_OFFSET)
struct.pack_into("<Q", sregs, APIC_BASE_OFFSET, base & ~APIC_ENABLED)
fcntl.ioctl(vcpus[1], KVM_SET_SREGS, sregs)

print("kept", flush=True)
signal.pause()
