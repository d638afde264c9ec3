# Option ROM that boots the Linux kernel the machine was started with.
#
# Firmware lists it as a boot entry (Plug and Play BIOS Specification 1.0A, section 3.2: Bootstrap Entry
# Vector). The entry copies setup code, command line, kernel and initrd out of fw_cfg by DMA, which
# reaches all of RAM from real mode, and enters the setup code (Linux Documentation/arch/x86/boot.rst,
# "Running the Kernel"). On any failure it says so and returns, and firmware tries the next entry.
#
# make_rom.py fills in the size byte and both checksums.

	.set FW_SELECT, 0x510		# 16-bit selector; data follows on 0x511
	.set FW_DMA_HIGH, 0x514		# descriptor address, big-endian; the low half starts the transfer
	.set FW_DMA_LOW, 0x518

	.set KEY_SIGNATURE, 0x00
	.set KEY_FEATURES, 0x01
	.set KEY_CMDLINE_ADDR, 0x13
	.set KEY_SETUP_ADDR, 0x16

	.set SIGNATURE, 0x554d4551	# "QEMU", as firmware and guests know the device
	.set FEATURE_DMA, 2
	.set DMA_SELECT_READ, 0x0a	# control bits 3 (select) and 1 (read)
	.set DMA_ERROR, 1
	.set DESCRIPTOR_BYTES, 16	# control, length, 64-bit address: all big-endian

	.code16
	.text
	.globl _start
_start:
	.byte 0x55, 0xaa
	.byte 0				# size in 512-byte units
init:					# firmware calls offset 3
	lret
	.org 0x18
	.short 0			# no PCI data structure
	.short pnp
	.balign 16
pnp:
	.ascii "$PnP"
	.byte 1, 2			# revision, length in 16-byte units
	.short 0			# no further header
	.byte 0, 0			# reserved, checksum
	.long 0				# no device identifier
	.short vendor, product
	.byte 0x01, 0x80, 0x00		# mass storage, other
	.byte 0x64			# initial program load device, may be shadowed, read cacheable
	.short 0, 0			# no boot connection, no disconnect vector
	.short boot
	.short 0, 0

vendor:	.asciz "Rhea"
product:.asciz "Linux loader DMA"
failed:	.asciz "Linux loader: fw_cfg DMA failed\r\n"

# address key, size key, data key of what is copied
items:
	.short 0x16, 0x17, 0x18		# setup code
	.short 0x13, 0x14, 0x15		# command line
	.short 0x07, 0x08, 0x11		# kernel
	.short 0x0a, 0x0b, 0x12		# initrd
items_end:

boot:
	pushal
	push	%ds
	cld
	sub	$DESCRIPTOR_BYTES, %sp
	mov	%sp, %bp		# the descriptor is at %ss:%bp
	mov	$KEY_SIGNATURE, %ax
	call	read_number
	cmp	$SIGNATURE, %eax
	jne	fail
	mov	$KEY_FEATURES, %ax
	call	read_number
	test	$FEATURE_DMA, %al
	jz	fail
	mov	$items, %si
1:	call	load_item
	jc	fail
	add	$6, %si
	cmp	$items_end, %si
	jb	1b

	mov	$KEY_CMDLINE_ADDR, %ax
	call	read_number
	mov	%eax, %edi
	mov	$KEY_SETUP_ADDR, %ax
	call	read_number
	sub	%eax, %edi
	sub	$16, %edi		# stack below the command line, as a 16-bit offset
	shr	$4, %eax
	cli
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %fs
	mov	%ax, %gs
	mov	%ax, %ss
	mov	%di, %sp
	add	$0x20, %ax		# the entry is 512 bytes into the setup code
	push	%ax
	push	$0
	lret

fail:
	mov	$failed, %si
1:	mov	%cs:(%si), %al
	inc	%si
	test	%al, %al
	jz	2f
	mov	$0x0e, %ah
	mov	$7, %bx
	int	$0x10
	jmp	1b
2:	add	$DESCRIPTOR_BYTES, %sp
	pop	%ds
	popal
	lret

# %ax: key of a 32-bit little-endian item. Returns it in %eax; changes %cx, %dx.
read_number:
	mov	$FW_SELECT, %dx
	out	%ax, %dx
	inc	%dx
	mov	$4, %cx
1:	in	%dx, %al
	ror	$8, %eax
	loop	1b
	ret

# Copies the item whose keys are at %cs:%si. Carry is set on failure. Changes all but %si, %bp, %sp.
load_item:
	mov	%cs:2(%si), %ax
	call	read_number
	test	%eax, %eax		# also clears carry
	jz	9f
	mov	%eax, %edi
	mov	%cs:(%si), %ax
	call	read_number
	bswap	%eax
	mov	%eax, 12(%bp)
	movl	$0, 8(%bp)
	bswap	%edi
	mov	%edi, 4(%bp)
	movzwl	%cs:4(%si), %eax
	shl	$16, %eax
	mov	$DMA_SELECT_READ, %al
	bswap	%eax
	mov	%eax, (%bp)

	xor	%eax, %eax
	mov	$FW_DMA_HIGH, %dx
	out	%eax, %dx
	mov	%ss, %ax
	shl	$4, %eax
	movzwl	%bp, %ecx
	add	%ecx, %eax
	bswap	%eax
	mov	$FW_DMA_LOW, %dx
	out	%eax, %dx

1:	pause
	mov	(%bp), %eax
	bswap	%eax
	test	$~DMA_ERROR, %eax	# non-zero while the transfer is under way
	jnz	1b
	test	$DMA_ERROR, %al
	jz	9f
	stc
9:	ret
