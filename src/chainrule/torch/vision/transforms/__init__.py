"""`torchvision.transforms`: functions of pictures. `v2` has the same names."""

from chainrule.torch.adapter import names
from chainrule.torch.vision.pictures import InterpolationMode as InterpolationMode
from chainrule.torch.vision.transforms import functional as functional
from chainrule.torch.vision.transforms.fixed import CenterCrop as CenterCrop
from chainrule.torch.vision.transforms.fixed import Compose as Compose
from chainrule.torch.vision.transforms.fixed import Grayscale as Grayscale
from chainrule.torch.vision.transforms.fixed import Lambda as Lambda
from chainrule.torch.vision.transforms.fixed import Normalize as Normalize
from chainrule.torch.vision.transforms.fixed import Pad as Pad
from chainrule.torch.vision.transforms.fixed import PILToTensor as PILToTensor
from chainrule.torch.vision.transforms.fixed import Resize as Resize
from chainrule.torch.vision.transforms.fixed import ToPILImage as ToPILImage
from chainrule.torch.vision.transforms.fixed import ToTensor as ToTensor
from chainrule.torch.vision.transforms.random import ColorJitter as ColorJitter
from chainrule.torch.vision.transforms.random import RandomApply as RandomApply
from chainrule.torch.vision.transforms.random import RandomChoice as RandomChoice
from chainrule.torch.vision.transforms.random import RandomCrop as RandomCrop
from chainrule.torch.vision.transforms.random import RandomErasing as RandomErasing
from chainrule.torch.vision.transforms.random import RandomGrayscale as RandomGrayscale
from chainrule.torch.vision.transforms.random import RandomHorizontalFlip as RandomHorizontalFlip
from chainrule.torch.vision.transforms.random import RandomInvert as RandomInvert
from chainrule.torch.vision.transforms.random import RandomOrder as RandomOrder
from chainrule.torch.vision.transforms.random import RandomResizedCrop as RandomResizedCrop
from chainrule.torch.vision.transforms.random import RandomRotation as RandomRotation
from chainrule.torch.vision.transforms.random import RandomVerticalFlip as RandomVerticalFlip

__getattr__, __dir__ = names.facade(__name__)
